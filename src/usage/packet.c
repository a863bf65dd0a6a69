/* Events on their way to the endpoint; see struct usage_packet. */
#include "usage/usage_internal.h"

struct usage_packet *usage_packet_new(struct usage *usage)
{
    struct usage_packet *packet = memory_new(sizeof *packet);
    if (!packet)
        return NULL;
    packet->usage = usage;
    link_init(&packet->in_packets);
    buffer_init(&packet->text, USAGE_PACKET_EVENTS * 2 * USAGE_EVENT_BYTES);
    return packet;
}

void usage_packet_free(struct usage_packet *packet)
{
    link_remove(&packet->in_packets);
    buffer_fini(&packet->text);
    memory_free(packet);
}

bool usage_packet_add(struct usage_packet *packet, int64_t id, struct span text)
{
    if (packet->count)
        buffer_add_char(&packet->text, ',');
    if (!buffer_add_span(&packet->text, text))
        return false;
    packet->events[packet->count].id = id;
    packet->events[packet->count++].end = packet->text.length;
    return true;
}

struct span usage_packet_event(const struct usage_packet *packet, size_t i)
{
    size_t from = i ? packet->events[i - 1].end + 1 : 0;
    return span_make(packet->text.data + from, packet->events[i].end - from);
}

bool usage_packet_split(struct usage_packet *packet)
{
    size_t half = packet->count / 2;
    struct usage_packet *second = usage_packet_new(packet->usage);
    bool done = second != NULL;
    for (size_t i = half; done && i < packet->count; i++)
        done = usage_packet_add(second, packet->events[i].id, usage_packet_event(packet, i));
    if (!done) {
        if (second)
            usage_packet_free(second);
        return false;
    }
    second->oldest_at = packet->oldest_at;
    link_append(packet->in_packets.next, &second->in_packets); /* before the next one */
    packet->count = half;
    packet->text.length = packet->events[half - 1].end;
    return true;
}

bool usage_packet_print(const struct usage_packet *packet, struct buffer *body)
{
    buffer_add_string(body, "{\"events\":[");
    buffer_add(body, packet->text.data, packet->text.length);
    return buffer_add_string(body, "]}");
}
