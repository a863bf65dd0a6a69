#include "bench/message.h"
#include "bench/websocket.h"

/*
 * Patterns: '#' stands for any digit, '$' for one but 0, '@' for a small letter. Numbers end in
 * '$' where a 0 would not be their shortest form, so that nobody may write them shorter.
 */
#define CHANGING_FIELDS                                                                            \
    "\"temperature\":$#.#$,\"humidity\":$#.#$,\"pressure\":$##.#$,\"voltage\":$.##$,"              \
    "\"cycles\":$#####,\"state\":\"@@@@@@@@\",\"operator\":\"@@@@@@\","                            \
    "\"position\":{\"x\":$#.#$,\"y\":$#.#$},\"checked\":\"@@@@@\"}"

static const char patch_pattern[] = "{" CHANGING_FIELDS;
static const char entity_pattern[] =
    "{\"name\":\"@@@@@@@@-@@@@\",\"site\":\"@@@@@@ @@@@@@@@\",\"model\":\"@@@@@@@@@@\","
    "\"serial\":\"$###########\",\"installed\":17$#######,\"tags\":[\"@@@@@@\",\"@@@@\"]"
    "," CHANGING_FIELDS;
static const char stamp_pattern[] = "{\"sent\":$###############," CHANGING_FIELDS;
static const char stamp_name[] = "\"sent\":";

_Static_assert(sizeof patch_pattern - 1 == MESSAGE_PATCH_BYTES, "the figures are for this size");

const char message_export[] = "Item", message_view[] = "Item/list";

static void add_pattern(struct buffer *out, const char *pattern, struct random *random)
{
    for (const char *at = pattern; *at; at++) {
        char c = *at;
        if (c == '#')
            c = (char)('0' + random_below(random, 10));
        else if (c == '$')
            c = (char)('1' + random_below(random, 9));
        else if (c == '@')
            c = (char)('a' + random_below(random, 26));
        buffer_add_char(out, c);
    }
}

static void add_mutation(struct message *message, struct buffer *text, const char *pattern,
                         struct random *random)
{
    buffer_printf(text, "{\"export\":\"%s\",\"key\":\"", message_export);
    if (message->first_key_at == 0)
        message->first_key_at = text->length;
    else if (message->key_stride == 0)
        message->key_stride = text->length - message->first_key_at;
    buffer_printf(text, "%0*d\",\"patch\":", MESSAGE_KEY_DIGITS, 0);
    if (message->first_stamp_at == 0)
        message->first_stamp_at = text->length + strlen("{") + strlen(stamp_name);
    add_pattern(text, pattern, random);
    buffer_add_char(text, '}');
}

static void add_request(struct message *message, struct buffer *text, enum message_content content,
                        const char *producer, struct random *random)
{
    const char *pattern = content == MESSAGE_ENTITIES  ? entity_pattern
                          : content == MESSAGE_PATCHES ? patch_pattern
                                                       : stamp_pattern;
    buffer_add_string(text, "{\"id\":");
    message->id_at = text->length;
    buffer_printf(text, "%0*d,\"producer\":\"%s\",\"batch\":", MESSAGE_NUMBER_DIGITS, 0, producer);
    message->batch_at = text->length;
    buffer_printf(text, "%0*d,\"mutations\":[", MESSAGE_NUMBER_DIGITS, 0);
    for (size_t i = 0; i < message->mutations; i++) {
        if (i > 0)
            buffer_add_char(text, ',');
        add_mutation(message, text, pattern, random);
    }
    buffer_add_string(text, "]}");
}

bool message_init(struct message *message, enum message_content content, const char *producer,
                  size_t mutations, struct random *random)
{
    *message = (struct message){.mutations = mutations};
    buffer_init(&message->frame, SIZE_MAX);
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    add_request(message, &text, content, producer, random);
    if (!text.failed)
        message->payload_at = frame_add(&message->frame, FRAME_TEXT, buffer_span(&text));
    bool done = !text.failed && !message->frame.failed;
    buffer_fini(&text);
    return done;
}

void message_fini(struct message *message)
{
    buffer_fini(&message->frame);
}

static void set_digits(struct message *message, size_t at, size_t digits, uint64_t number)
{
    char *payload = message->frame.data + message->payload_at;
    for (size_t i = digits; i-- > 0; number /= 10)
        payload[at + i] = (char)(('0' + number % 10) ^ frame_mask_at(at + i));
}

void message_set_number(struct message *message, uint64_t number)
{
    set_digits(message, message->id_at, MESSAGE_NUMBER_DIGITS, number);
    set_digits(message, message->batch_at, MESSAGE_NUMBER_DIGITS, number);
}

void message_set_key(struct message *message, size_t mutation, uint64_t key)
{
    size_t at = message->first_key_at + mutation * message->key_stride;
    set_digits(message, at, MESSAGE_KEY_DIGITS, key);
}

void message_set_stamp(struct message *message, uint64_t microseconds)
{
    set_digits(message, message->first_stamp_at, MESSAGE_STAMP_DIGITS,
               MESSAGE_STAMP_BASE + microseconds);
}

uint64_t message_parse_digits(const char *text, size_t digits)
{
    uint64_t number = 0;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (uint64_t)(unsigned char)(text[i] - '0');
    return number;
}

uint64_t message_find_stamp(struct span text)
{
    size_t name = sizeof stamp_name - 1;
    const char *at = memmem(text.data, text.length, stamp_name, name);
    if (!at || (size_t)(text.data + text.length - at) < name + MESSAGE_STAMP_DIGITS)
        return 0;
    return message_parse_digits(at + name, MESSAGE_STAMP_DIGITS) - MESSAGE_STAMP_BASE;
}
