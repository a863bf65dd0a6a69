/*
 * fanout: frames/s to many subscribers of one view, beside a plain process that sends the same
 * bytes to as many sockets, which the same code receives. Measured in two ways.
 *
 * With feeding: the clock runs from the first mutation until every subscriber has everything, so
 * feeding, committing and delivering share the machine. The plain process only sends.
 *
 * Delivery alone: nobody reads while mutations are fed; then everybody does, and the server has
 * nothing to do but to deliver. What the kernel had buffered by then comes first, on each socket;
 * so the clock runs only for the second half of the frames. The plain process starts in the same
 * way. With many subscribers it can be the receiver that sets this rate, and the kernel then does
 * part of the sending on the receiver's time. Therefore the ratio that counts is of costs: the
 * processor time of sender and receiver together for a frame.
 *
 * A subscriber that falls far behind gets newest states instead of patches, fewer frames; how many
 * of the frames were such is told as "conflated".
 */
#include "bench/bench.h"
#include "bench/raw_sender.h"

enum {
    KEYS = 1000,
    BATCH = 100,
    /* Mutations of a burst: many times what the kernel buffers for a socket, and less than the
     * server keeps in memory, so that nobody has to be caught up from the database. */
    FEWEST_MUTATIONS = 20000,
    MOST_MUTATIONS = 100000,
    /* Receivers that ask for the segments of an Ethernet and do not grow their buffers keep what
     * the kernel holds well under half of a burst. */
    RECEIVE_BUFFER = 256 * 1024,
    SEGMENT = 1448
};

static const double buffers_fill_seconds = 0.5;

struct fanout {
    struct bench *bench;
    struct report_case name;
    struct audience audience;
    struct crew crew;
    struct audience raw_audience;
    struct raw_sender raw_sender;
    struct buffer record; /* ready frames as the server sent them */
    uint64_t mutations;   /* of a burst */
};

static void sample(struct fanout *fanout, const char *measure, const char *unit, double value)
{
    report_sample(fanout->bench->report, &fanout->name, measure, unit, value);
}

/* ---- with feeding ---- */

static bool finish_feeding(struct fanout *fanout, uint64_t last_index, struct error *error)
{
    if (!crew_finish(&fanout->crew, BENCH_PATIENCE_SECONDS, error))
        return false;
    return fanout->crew.last_index == last_index ||
           error_set(error, ERROR_INTERNAL, "the last seq of a burst is not the one counted on");
}

static bool deliver_with_feeding(struct fanout *fanout, double *rate, struct error *error)
{
    struct audience *audience = &fanout->audience;
    uint64_t last = fanout->crew.last_index + fanout->mutations;
    uint64_t frames = audience->frames, bytes = audience->bytes, upserts = audience->upserts;
    audience_expect(audience, last);
    struct process_time before = process_time(fanout->bench->server.process);
    crew_start(&fanout->crew, fanout->mutations / BATCH);
    if (!audience_wait(audience, BENCH_PATIENCE_SECONDS, error))
        return false;
    double seconds = clock_seconds() - before.at;
    frames = audience->frames - frames;
    *rate = (double)frames / seconds;
    sample(fanout, "with feeding", "frames/s", *rate);
    sample(fanout, "with feeding, conflated", "% of frames",
           100 * (double)(audience->upserts - upserts) / (double)frames);
    sample(fanout, "bytes of a frame", "bytes", (double)(audience->bytes - bytes) / (double)frames);
    bench_report_time(fanout->bench, &fanout->name, before);
    return finish_feeding(fanout, last, error);
}

/* ---- delivery alone ---- */

struct halfway {
    const struct audience *audience;
    uint64_t frames;
};

static bool is_halfway(const void *argument)
{
    const struct halfway *halfway = argument;
    return halfway->audience->frames >= halfway->frames || halfway->audience->behind == 0;
}

/* Over the second half of a burst. */
struct delivery {
    double rate;             /* frames/s */
    double sender, receiver; /* % of a core: they show who of the two sets the rate */
    double cost;             /* ns of processor time for a frame, both together */
};

/* Let everybody read until they have a burst. */
static bool read_burst(struct fanout *fanout, struct audience *audience, uint64_t frames_before,
                       pid_t sender, struct delivery *delivery, struct error *error)
{
    uint64_t half = frames_before + audience->count * fanout->mutations / 2;
    struct halfway halfway = {audience, half};
    struct loop_wait wait = {is_halfway, &halfway, BENCH_PATIENCE_SECONDS, "half of a burst"};
    audience_set_deaf(audience, false);
    if (!loop_until(&fanout->bench->loop, &wait, error))
        return false;
    struct process_time before = process_time(sender);
    uint64_t frames = audience->frames;
    if (!audience_wait(audience, BENCH_PATIENCE_SECONDS, error))
        return false;
    struct process_time share = process_share(before, sender);
    double rate = (double)(audience->frames - frames) / share.at;
    *delivery = (struct delivery){rate, share.other, share.own,
                                  (share.other + share.own) / 100 * 1e9 / rate};
    return true;
}

static bool deliver_alone(struct fanout *fanout, struct delivery *delivery, struct error *error)
{
    struct audience *audience = &fanout->audience;
    uint64_t last = fanout->crew.last_index + fanout->mutations;
    uint64_t frames = audience->frames, upserts = audience->upserts;
    audience_expect(audience, last);
    audience_set_deaf(audience, true);
    crew_start(&fanout->crew, fanout->mutations / BATCH);
    if (!finish_feeding(fanout, last, error) ||
        !loop_for(&fanout->bench->loop, buffers_fill_seconds, error) ||
        !read_burst(fanout, audience, frames, fanout->bench->server.process, delivery, error))
        return false;
    sample(fanout, "delivery alone", "frames/s", delivery->rate);
    sample(fanout, "alone, server's use", "% of a core", delivery->sender);
    sample(fanout, "alone, generator's use", "% of a core", delivery->receiver);
    sample(fanout, "alone, cost of a frame", "ns", delivery->cost);
    sample(fanout, "alone, conflated", "% of frames",
           100 * (double)(audience->upserts - upserts) / (double)(audience->frames - frames));
    return true;
}

/* ---- the raw sender ---- */

static bool connect_raw(struct fanout *fanout, struct error *error)
{
    struct frame frame;
    struct buffer *record = &fanout->record;
    struct audience *audience = &fanout->raw_audience;
    if (frame_find(buffer_span(record), &frame) != FRAME_FOUND)
        return error_set(error, ERROR_INTERNAL, "no frame was recorded");
    size_t frames = record->length / frame.whole.length; /* as long as the first, each of them */
    for (size_t i = 1; i < frames; i++)
        memcpy(record->data + i * frame.whole.length, record->data, frame.whole.length);
    record->length = frames * frame.whole.length;
    struct raw_plan plan = {buffer_span(record), fanout->mutations * frame.whole.length,
                            fanout->audience.count};
    if (!raw_sender_start(&fanout->raw_sender, &plan, error) ||
        !audience_init(audience, &fanout->bench->loop, &fanout->raw_sender.address, NULL,
                       fanout->audience.count, error))
        return false;
    audience->named = fanout->audience.named;
    audience->target.receive_buffer = RECEIVE_BUFFER;
    audience->target.segment = SEGMENT;
    return audience_connect(audience, error);
}

static bool start_raw(struct fanout *fanout, struct error *error)
{
    struct audience *audience = &fanout->raw_audience;
    audience_expect(audience, audience->members[0].position + fanout->mutations);
    return raw_sender_go(&fanout->raw_sender) ||
           error_set(error, ERROR_INTERNAL, "the raw sender is gone");
}

static bool deliver_raw_freely(struct fanout *fanout, double with_feeding, struct error *error)
{
    struct audience *audience = &fanout->raw_audience;
    double start = clock_seconds();
    uint64_t frames = audience->frames;
    if (!start_raw(fanout, error) || !audience_wait(audience, BENCH_PATIENCE_SECONDS, error))
        return false;
    double rate = (double)(audience->frames - frames) / (clock_seconds() - start);
    sample(fanout, "raw sender", "frames/s", rate);
    sample(fanout, "with feeding to raw sender", "ratio", with_feeding / rate);
    return true;
}

static bool deliver_raw_alone(struct fanout *fanout, const struct delivery *alone,
                              struct delivery *raw, struct error *error)
{
    struct audience *audience = &fanout->raw_audience;
    uint64_t frames = audience->frames;
    audience_set_deaf(audience, true);
    if (!start_raw(fanout, error) || !loop_for(&fanout->bench->loop, buffers_fill_seconds, error) ||
        !read_burst(fanout, audience, frames, fanout->raw_sender.process, raw, error))
        return false;
    sample(fanout, "raw alone", "frames/s", raw->rate);
    sample(fanout, "raw alone, sender's use", "% of a core", raw->sender);
    sample(fanout, "raw alone, generator's use", "% of a core", raw->receiver);
    sample(fanout, "raw alone, cost of a frame", "ns", raw->cost);
    sample(fanout, "alone to raw, by rate", "ratio", alone->rate / raw->rate);
    sample(fanout, "alone to raw, by cost", "ratio", raw->cost / alone->cost);
    return true;
}

/* ---- in turn ---- */

static bool take_turns(struct fanout *fanout, struct error *error)
{
    double with_feeding;
    struct delivery alone, raw;
    fanout->audience.record = &fanout->record;
    for (uint64_t round = 0; round < fanout->bench->options->rounds; round++) {
        if (!deliver_with_feeding(fanout, &with_feeding, error) ||
            (round == 0 && !connect_raw(fanout, error)) ||
            !deliver_raw_freely(fanout, with_feeding, error) ||
            !deliver_alone(fanout, &alone, error) ||
            !deliver_raw_alone(fanout, &alone, &raw, error))
            return false;
        fanout->audience.record = NULL;
    }
    return true;
}

static uint64_t burst_size(uint64_t frames, uint64_t subscribers)
{
    uint64_t mutations = frames / subscribers / BATCH * BATCH;
    if (mutations < FEWEST_MUTATIONS)
        return FEWEST_MUTATIONS;
    return mutations < MOST_MUTATIONS ? mutations : MOST_MUTATIONS;
}

static bool connect_all(struct fanout *fanout, size_t subscribers, uint64_t last_index,
                        struct error *error)
{
    struct bench *bench = fanout->bench;
    struct crew_plan plan = bench_plan(bench, 1, BATCH, KEYS);
    if (!crew_open(&fanout->crew, &bench->loop, &bench->server.address, &plan, error) ||
        !audience_init(&fanout->audience, &bench->loop, &bench->server.address, "/", subscribers,
                       error))
        return false;
    fanout->crew.last_index = last_index;
    fanout->audience.target.receive_buffer = RECEIVE_BUFFER;
    fanout->audience.target.segment = SEGMENT;
    return audience_settle(&fanout->audience, KEYS, error);
}

static bool measure(struct bench *bench, uint64_t subscribers, uint64_t *last_index,
                    struct error *error)
{
    char text[32];
    struct fanout fanout = {.bench = bench, .raw_sender.control = -1};
    fanout.name = report_case("fanout", "%s subscriber%s", number_text((double)subscribers, text),
                              subscribers == 1 ? "" : "s");
    fanout.mutations = burst_size(bench->options->frames, subscribers);
    buffer_init(&fanout.record, (size_t)bench->options->write_bytes);
    bool done =
        connect_all(&fanout, (size_t)subscribers, *last_index, error) && take_turns(&fanout, error);
    *last_index = fanout.crew.last_index;
    crew_close(&fanout.crew);
    audience_close(&fanout.audience);
    audience_close(&fanout.raw_audience);
    raw_sender_end(&fanout.raw_sender);
    buffer_fini(&fanout.record);
    return done;
}

static bool run(struct bench *bench, struct error *error)
{
    const struct number_list *subscribers = &bench->options->subscribers;
    struct bench_load load;
    if (!server_start(&bench->server, error) || !bench_load(bench, KEYS, &load, error))
        return false;
    for (size_t i = 0; i < subscribers->count; i++)
        if (!measure(bench, subscribers->values[i], &load.last_index, error))
            return false;
    return server_stop(&bench->server, error);
}

const struct scenario scenario_fanout = {
    "fanout", "frames/s to many subscribers, against a raw sender of the same bytes", run};

/* ---- versions ---- */

static const char *const one_name[] = {AUDIENCE_NAMED("s")};
/* No two that take turns are equal. */
static const char *const many_names[] = {
    AUDIENCE_NAMED("a"), AUDIENCE_NAMED("b"), AUDIENCE_NAMED("c"), AUDIENCE_NAMED("d"),
    AUDIENCE_NAMED("e"), AUDIENCE_NAMED("f"), AUDIENCE_NAMED("g")};

/* Who takes part in turns. */
static const struct version {
    const char *name;
    const char *const *subscriptions;
    size_t count;
} versions[] = {{"version 1", NULL, 0},
                {"version 2, equal ids", one_name, sizeof one_name / sizeof *one_name},
                {"version 2, different ids", many_names, sizeof many_names / sizeof *many_names}};
enum { VERSIONS = sizeof versions / sizeof *versions };

/* What one of them gave in a round, and what the raw sender needs for as many bytes. */
struct version_figures {
    double with_feeding, cost, raw;
};

static bool measure_version(struct bench *bench, uint64_t subscribers,
                            const struct version *version, uint64_t *last_index,
                            struct version_figures *figures, struct error *error)
{
    char text[32];
    struct delivery alone, raw;
    struct fanout fanout = {.bench = bench, .raw_sender.control = -1};
    struct crew_plan plan = bench_plan(bench, 1, BATCH, KEYS);
    fanout.name = report_case("versions", "%s, %s subscribers", version->name,
                              number_text((double)subscribers, text));
    fanout.mutations = burst_size(bench->options->frames, subscribers);
    buffer_init(&fanout.record, (size_t)bench->options->write_bytes);
    bool done = crew_open(&fanout.crew, &bench->loop, &bench->server.address, &plan, error) &&
                audience_init(&fanout.audience, &bench->loop, &bench->server.address, "/",
                              (size_t)subscribers, error);
    fanout.crew.last_index = *last_index;
    fanout.audience.target.receive_buffer = RECEIVE_BUFFER;
    fanout.audience.target.segment = SEGMENT;
    fanout.audience.record = &fanout.record;
    if (version->count) {
        fanout.audience.subscriptions = version->subscriptions;
        fanout.audience.subscription_count = version->count;
        fanout.audience.named = true;
    }
    done = done && audience_settle(&fanout.audience, KEYS, error) &&
           deliver_with_feeding(&fanout, &figures->with_feeding, error) &&
           deliver_alone(&fanout, &alone, error) && connect_raw(&fanout, error) &&
           deliver_raw_alone(&fanout, &alone, &raw, error);
    if (done)
        figures->cost = alone.cost, figures->raw = raw.cost;
    *last_index = fanout.crew.last_index;
    crew_close(&fanout.crew);
    audience_close(&fanout.audience);
    audience_close(&fanout.raw_audience);
    raw_sender_end(&fanout.raw_sender);
    buffer_fini(&fanout.record);
    return done;
}

static void compare_version(struct bench *bench, const struct version *version,
                            uint64_t subscribers, const struct version_figures *first,
                            const struct version_figures *second)
{
    char text[32];
    struct report_case name = report_case("versions", "%s, to version 1, %s subscribers",
                                          version->name, number_text((double)subscribers, text));
    report_sample(bench->report, &name, "with feeding, by rate", "ratio",
                  second->with_feeding / first->with_feeding);
    report_sample(bench->report, &name, "alone, by cost", "ratio", first->cost / second->cost);
    report_sample(bench->report, &name, "raw alone, by cost", "ratio", first->raw / second->raw);
}

/* All in turns, so that what else the machine does is the same for each. */
static bool compare_versions(struct bench *bench, uint64_t subscribers, uint64_t *last_index,
                             struct error *error)
{
    for (uint64_t round = 0; round < bench->options->rounds; round++) {
        struct version_figures figures[VERSIONS];
        for (size_t i = 0; i < VERSIONS; i++)
            if (!measure_version(bench, subscribers, &versions[i], last_index, &figures[i], error))
                return false;
        for (size_t i = 1; i < VERSIONS; i++)
            compare_version(bench, &versions[i], subscribers, &figures[0], &figures[i]);
    }
    return true;
}

static bool run_versions(struct bench *bench, struct error *error)
{
    const struct number_list *subscribers = &bench->options->subscribers;
    struct bench_load load;
    if (!server_start(&bench->server, error) || !bench_load(bench, KEYS, &load, error))
        return false;
    for (size_t i = 0; i < subscribers->count; i++)
        if (!compare_versions(bench, subscribers->values[i], &load.last_index, error))
            return false;
    return server_stop(&bench->server, error);
}

const struct scenario scenario_versions = {
    "versions", "frames/s to subscribers of version 2 of the protocol, against version 1",
    run_versions};
