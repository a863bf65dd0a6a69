#include "follow/envelope.h"

#include "json/json.h"

static const char *const form_names[] = {"lines", "message", "revoke", "forget"};
_Static_assert(sizeof form_names / sizeof *form_names == PUBLICATION_FORMS, "names");

/* ---- around it ---- */

static void print_text(struct buffer *out, const char *name, struct span text)
{
    if (!text.data)
        return;
    buffer_printf(out, ",\"%s\":", name);
    doc_escape(out, text);
}

bool envelope_print(const struct envelope *envelope, struct buffer *out)
{
    buffer_add_string(out, "{\"node\":");
    doc_escape(out, envelope->node);
    buffer_printf(out, ",\"number\":%lld,\"form\":\"%s\"", (long long)envelope->number,
                  form_names[envelope->form]);
    print_text(out, "subject", envelope->subject);
    print_text(out, "key", envelope->key);
    if (envelope->has_after)
        buffer_printf(out, ",\"after\":%lld", (long long)envelope->after);
    return buffer_add_char(out, '}');
}

/* ---- members, each of which is counted ---- */

struct reading {
    const struct tree *object;
    size_t known;
    bool good;
};

static struct span text_of(struct reading *reading, const char *name, bool needed)
{
    const struct tree *member = tree_member(reading->object, name);
    struct span text = tree_string(member);
    reading->known += member != NULL;
    reading->good = reading->good && (member ? text.data != NULL : !needed);
    return text;
}

/* A natural number. */
static bool number_of(struct reading *reading, const char *name, bool needed, int64_t *number)
{
    const struct tree *member = tree_member(reading->object, name);
    *number = tree_integer(member, -1);
    reading->known += member != NULL;
    reading->good = reading->good && (member ? *number >= 0 : !needed);
    return member != NULL;
}

static struct reading begin(const struct tree *tree)
{
    return (struct reading){.object = tree, .good = tree_type(tree) == TREE_OBJECT};
}

static bool is_whole(const struct reading *reading)
{
    return reading->good && tree_count(reading->object) == reading->known;
}

static bool read_form(struct span name, enum publication_form *form)
{
    size_t i = 0;
    while (i < PUBLICATION_FORMS && !span_equal(name, span_of(form_names[i])))
        i++;
    *form = (enum publication_form)i;
    return i < PUBLICATION_FORMS;
}

int64_t envelope_version(const char *text)
{
    struct error error;
    if (!strstr(text, "\"version\"")) /* nearly always */
        return ENVELOPE_VERSION;
    struct tree *tree = tree_parse(span_of(text), &error);
    int64_t version = tree_integer(tree_member(tree, "version"), ENVELOPE_VERSION);
    tree_free(tree);
    return version;
}

bool envelope_read(const struct tree *tree, struct envelope *envelope, struct error *error)
{
    struct reading reading = begin(tree);
    if (reading.good) {
        envelope->node = text_of(&reading, "node", true);
        number_of(&reading, "number", true, &envelope->number);
        reading.good = read_form(text_of(&reading, "form", true), &envelope->form) && reading.good;
        envelope->subject = text_of(&reading, "subject", false);
        envelope->key = text_of(&reading, "key", false);
        envelope->has_after = number_of(&reading, "after", false, &envelope->after);
    }
    return is_whole(&reading) || error_set(error, ERROR_INVALID_MESSAGE,
                                           "its header " ENVELOPE_HEADER " is none of a node's");
}

/* ---- commands ---- */

bool envelope_print_revocation(struct buffer *out, struct span token_id, int64_t expires_at)
{
    buffer_add_string(out, "{\"jti\":");
    doc_escape(out, token_id);
    return buffer_printf(out, ",\"expires_at\":%lld}", (long long)expires_at);
}

bool envelope_print_producer(struct buffer *out, struct span name)
{
    buffer_add_string(out, "{\"producer\":");
    doc_escape(out, name);
    return buffer_add_char(out, '}');
}

static bool read_members(enum publication_form form, const struct tree *body,
                         struct submission_command *command)
{
    struct reading reading = begin(body);
    if (!reading.good)
        return false;
    command->kind = form == PUBLICATION_REVOKE ? COMMAND_REVOKE : COMMAND_FORGET;
    command->name = text_of(&reading, command->kind == COMMAND_REVOKE ? "jti" : "producer", true);
    if (command->kind == COMMAND_REVOKE)
        number_of(&reading, "expires_at", true, &command->expires_at);
    return is_whole(&reading) && command->name.length > 0 &&
           !memchr(command->name.data, 0, command->name.length) &&
           (command->kind == COMMAND_REVOKE
                ? command->name.length <= STORE_MAX_TOKEN_ID
                : !span_equal(command->name, span_of(ENGINE_LOG_PRODUCER)));
}

bool envelope_read_command(enum publication_form form, struct span body,
                           struct submission *submission, struct error *error)
{
    struct submission_command *command = &submission->command;
    struct tree *tree = tree_parse(body, error);
    if (!tree)
        return false;
    bool good =
        read_members(form, tree, command) ||
        error_set(error, ERROR_INVALID_MESSAGE, "it names no token or producer as a node would");
    if (good) {
        command->name = submission_keep(submission, command->name);
        good = command->name.data || error_set(error, ERROR_MEMORY, "out of memory");
    }
    tree_free(tree);
    return good;
}
