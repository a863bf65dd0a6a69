/*
 * The invariants of delivery fire: in a hub without an engine, and a subscription made by hand.
 *
 * Not reached:
 *   INVARIANT(false)  of phase_next: the table has no such step, and is asked first
 *   INVARIANT(view)  what subscription_check gives, which is not left out
 *   INVARIANT(length < VIEW_EPOCH)  the text begins with what the database has as its epoch
 *   INVARIANT(!subscription->snapshot.batch && subscription->reading == READER_SNAPSHOT)  a batch
 *     is built from a database
 */
#include "delivery/catch_up_internal.h"
#include "delivery/hub_internal.h"
#include "delivery/key_owner.h"
#include "delivery/read_task.h"
#include "delivery/snapshot_internal.h"
#include "engine/engine_internal.h"
#include "planted_hub.h"
#include "test.h"
#include "window/window.h"

#include "invariant_fixture.h"

/* ---- what is broken ---- */

static struct read_task task;
static struct key_group group;
static struct snapshot_batch batch;

/* ---- phases, and pulling ---- */

enum {
    RESTATES_NOT_LIVE,
    LOOKED_UP_BY_NONE,
    NEXT_NOT_IN_TABLE,
    BEGINS_WITH_TASK,
    BEGINS_IN_BUILD,
    BEGINS_WITH_BATCH,
    NO_READER,
    STILL_READY,
    STILL_RESTS,
    SLOT_TWICE,
    NEGATIVE_ROWS,
    RESTS_NOT_LIVE
};

static void break_phase(int fault)
{
    struct subscription *subscription = make(NULL);
    switch (fault) {
    case RESTATES_NOT_LIVE:
        subscription->reading = READER_LOG;
        phase_restate(subscription);
        break;
    case LOOKED_UP_BY_NONE:
        phase_look_up(subscription, READER_LIVE);
        break;
    case NEXT_NOT_IN_TABLE:
        phase_next(subscription, &(struct reader_step){.next = READER_SNAPSHOT});
        break;
    case BEGINS_WITH_TASK:
        subscription->task = &task;
        phase_begin(subscription, false);
        break;
    case BEGINS_IN_BUILD:
        link_append(&subscriber->ready, &subscription->snapshot.in_build);
        phase_begin(subscription, false);
        break;
    case BEGINS_WITH_BATCH:
        subscription->snapshot.batch = &batch;
        phase_begin(subscription, false);
        break;
    case NO_READER:
        subscription->reader = NULL;
        subscription_pull(subscription);
        break;
    case STILL_READY:
        subscriber_ready(subscription);
        subscription_pull(subscription);
        break;
    case STILL_RESTS:
        topic_rest(subscription);
        subscription_pull(subscription);
        break;
    case SLOT_TWICE:
        pull(subscription, (struct reader_step){.then = STEP_SLOT});
        break;
    case NEGATIVE_ROWS:
        pull(subscription, (struct reader_step){.is_answer = true, .answered = -1});
        break;
    case RESTS_NOT_LIVE:
        subscription->reading = READER_LOG;
        pull(subscription, (struct reader_step){.then = STEP_IDLE});
        break;
    }
}

/* ---- what a subscriber is sent, and asks for ---- */

enum {
    WAKES_ENDED,
    MESSAGE_TO_ENDED,
    PULLS_ENDED,
    TOO_MANY_SLOTS,
    NO_SLOT_TO_GIVE,
    WAITS_WITH_SLOT,
    WAITS_WHILE_FREE,
    ANSWERS_PASSED,
    REST_PASSED,
    REST_LOST,
    PIECE_BACK,
    SENT_TOO_MUCH,
    TOOK_UNSHOWN,
    SLOT_LEFT,
    WAITS_LEFT,
    NO_SUBSCRIBERS,
    BODIES_LATE,
    BODIES_NOT_WRITTEN
};

static void break_outbox(int fault)
{
    struct subscription *subscription = make(NULL);
    struct subscription *other = add("k");
    subscriber->outbox.rest = text_new("abc", 3);
    switch (fault) {
    case WAKES_ENDED:
        subscriber->ended = true;
        subscriber_ready(subscription);
        break;
    case MESSAGE_TO_ENDED:
        subscriber->ended = true;
        subscriber_message(subscriber, span_of("{\"type\":\"ping\"}"));
        break;
    case PULLS_ENDED:
        subscriber->ended = true;
        subscriber_pull(subscriber);
        break;
    case TOO_MANY_SLOTS:
        subscriber->slots.taken = HUB_SLOTS + 1;
        subscriber_take_slot(subscription);
        break;
    case NO_SLOT_TO_GIVE:
        subscription->has_slot = true;
        subscriber_give_slot(subscription);
        break;
    case WAITS_WITH_SLOT:
        subscriber->slots.taken = HUB_SLOTS;
        subscription->has_slot = other->has_slot = true;
        link_append(&subscriber->slots.waiting, &other->in_waiting);
        subscriber_give_slot(subscription);
        break;
    case WAITS_WHILE_FREE:
        subscriber->slots.taken = 1;
        subscription->has_slot = true;
        link_append(&subscriber->slots.waiting, &other->in_waiting);
        subscriber_give_slot(subscription);
        break;
    case ANSWERS_PASSED:
        subscriber->outbox.rest = NULL;
        subscriber->outbox.control_sent = 1;
        subscriber_pull(subscriber);
        break;
    case REST_PASSED:
        subscriber->outbox.rest_sent = 4;
        subscriber_pull(subscriber);
        break;
    case REST_LOST:
        subscriber->outbox.rest_sent = 2;
        pull(subscription, (struct reader_step){.text = text_new("def", 3)});
        break;
    case PIECE_BACK:
        subscriber->metering.usage = (struct usage_client *)subscriber; /* not looked at */
        subscriber->metering.rest_rows = 1;
        subscriber_pull(subscriber);
        break;
    case SENT_TOO_MUCH:
        subscriber->metering.pulled_length = 3;
        subscriber_supply.sent(subscriber, 4, NULL);
        break;
    case TOOK_UNSHOWN:
        subscriber_supply.took(subscriber, 4, true);
        break;
    case SLOT_LEFT:
        subscriber->slots.taken = 1;
        subscriber_supply.silence(subscriber);
        break;
    case WAITS_LEFT:
        link_append(&subscriber->ready, &hub->topics.touched);
        subscriber_supply.silence(subscriber);
        break;
    case NO_SUBSCRIBERS:
        hub->subscriber_count = 0;
        subscriber_free(subscriber);
        break;
    case BODIES_LATE:
        subscriber_write_bodies(subscriber, span_make(NULL, 0));
        break;
    case BODIES_NOT_WRITTEN:
        subscriber_problem(subscriber, &(struct wire_problem){.fatal = true});
        break;
    }
}

/* ---- the end of a subscription ---- */

enum {
    DROPS_IN_GROUP,
    DROPS_WITH_TASK,
    DROPS_WITH_SLOT,
    DROPS_GROWN_PAGE,
    DROPS_READY,
    DROPS_RESTING,
    DROPS_UNCOUNTED
};

static void break_end(int fault)
{
    struct subscription *subscription = make(NULL);
    switch (fault) {
    case DROPS_IN_GROUP:
        subscription->group = &group;
        break;
    case DROPS_WITH_TASK:
        subscription->task = &task;
        break;
    case DROPS_WITH_SLOT:
        subscription->has_slot = true;
        break;
    case DROPS_GROWN_PAGE:
        subscription->log.holds_grown_page = true;
        break;
    case DROPS_READY:
        subscriber_ready(subscription);
        break;
    case DROPS_RESTING:
        topic_rest(subscription);
        break;
    case DROPS_UNCOUNTED:
        subscriber->count = 0;
        break;
    }
    subscription_drop(subscription);
}

/* ---- topics ---- */

enum {
    RESTS_IN_LOG,
    RESTS_BEHIND,
    JOINS_TWICE,
    LEAVES_ANOTHER,
    LEAVES_UNCOUNTED,
    LEAVES_HUB_UNCOUNTED,
    LEAVES_UNKEYED,
    OFFERED_BACK,
    OFFERED_OTHERS,
    OFFERED_BEYOND,
    KEYS_BACK,
    KEYS_BEYOND,
    FRAME_LOG_UNCOUNTED,
    LEAVES_UNTAKEN_LOG,
    ENDS_WITH_GROUP,
    ENDS_WITH_WINDOW,
    GROUP_ENDS_RESTING
};

static void break_topic(int fault)
{
    bool keyed = fault == KEYS_BACK || fault == KEYS_BEYOND || fault == GROUP_ENDS_RESTING;
    struct subscription *subscription = make(keyed ? "k" : NULL);
    struct topic other = {.subscriptions = 1};
    struct change *change = make_change(1);
    switch (fault) {
    case RESTS_IN_LOG:
        subscription->reading = READER_LOG;
        topic_rest(subscription);
        break;
    case RESTS_BEHIND:
        backlog_add(&hub->backlog, change);
        topic_rest(subscription);
        break;
    case JOINS_TWICE:
        subscription->group = &group;
        topic_join(topic, subscription, span_of("k"), NULL, NULL);
        break;
    case LEAVES_ANOTHER:
        topic_leave(&other, subscription);
        break;
    case LEAVES_UNCOUNTED:
        topic->subscriptions = 0;
        topic_leave(topic, subscription);
        break;
    case LEAVES_HUB_UNCOUNTED:
        hub->subscription_count = 0;
        topic_leave(topic, subscription);
        break;
    case LEAVES_UNKEYED:
        topic->unkeyed = 0;
        topic_leave(topic, subscription);
        break;
    case OFFERED_BACK:
        topic->offered = 2;
        topic_offer(topic, change);
        break;
    case OFFERED_OTHERS:
        change->export_id = 2;
        topic_offer(topic, change);
        break;
    case OFFERED_BEYOND:
        topic->offered = 2;
        topic_settle(topic, 1, 1);
        break;
    case KEYS_BACK:
        topic_offer(topic, make_change(2));
        topic->offered = 0;
        topic_offer(topic, change);
        break;
    case KEYS_BEYOND:
        topic_offer(topic, change);
        subscription->group->first = 100;
        topic_offer(topic, make_change(2));
        break;
    case FRAME_LOG_UNCOUNTED:
        subscription->knowledge.full = true;
        subscription->reader->pull(subscription);
        topic_offer(topic, change);
        hub->topics.channel_bytes = 0;
        topic_leave(topic, subscription);
        break;
    case LEAVES_UNTAKEN_LOG:
        topic_log_enter(subscription);
        subscription->live.log->takers = 0;
        topic_leave(topic, subscription);
        break;
    case ENDS_WITH_GROUP:
        topic->subscriptions = 0;
        topic->unkeyed = 1;
        topic_drop_unused(topic);
        break;
    case ENDS_WITH_WINDOW:
        topic->subscriptions = topic->unkeyed = 0;
        link_append(&topic->list_windows, &subscription->in_ready);
        topic_drop_unused(topic);
        break;
    case GROUP_ENDS_RESTING:
        link_append(&subscription->group->resting, &subscription->in_ready);
        topic_leave(topic, subscription);
        break;
    }
}

/* ---- the hub ---- */

enum {
    HUB_ENDS_COUNTING,
    HUB_ENDS_WITH_CHANNEL,
    HUB_ENDS_WITH_PAGES,
    HUB_ENDS_WAITING,
    HEAD_BACK,
    HEAD_BEYOND,
    TIMES_BACK,
    WAITS_UNCOUNTED,
    STOPS_UNCOUNTED,
    PREVIOUS_LIST_LOST
};

static void commit(int64_t last, int64_t slot)
{
    struct change *changes[] = {make_change(1)};
    struct engine_commit it = {
        .changes = changes, .count = 1, .last_change = last, .head = {.slot = slot}};
    hub_commit(hub, &it);
}

static void break_hub(int fault)
{
    const struct store_export export = {.id = 2, .name = {"W", 1}};
    make_hub();
    switch (fault) {
    case PREVIOUS_LIST_LOST:
        subscriber->previous.count = 1;
        subscriber_free(subscriber);
        break;
    case HUB_ENDS_COUNTING:
        hub->subscription_count = 1;
        hub_free(hub);
        break;
    case HUB_ENDS_WITH_CHANNEL:
        hub->topics.channel_bytes = 1;
        hub_free(hub);
        break;
    case HUB_ENDS_WITH_PAGES:
        hub->grown_pages = 1;
        hub_free(hub);
        break;
    case HUB_ENDS_WAITING:
        hub->waits.count = 1;
        hub_free(hub);
        break;
    case HEAD_BACK:
        hub->head.slot = 6;
        commit(1, 5);
        break;
    case HEAD_BEYOND:
        commit(2, 5);
        break;
    case TIMES_BACK:
        hub->head_times.newest.change = 2;
        commit(1, 5);
        break;
    case WAITS_UNCOUNTED: {
        struct view view = {.export_name = "W"};
        struct error error;
        assert_true(view_set_add_export(hub->views, span_of("W"), &error));
        assert_non_null(hub_await(hub, &view));
        hub->exports.waiting = 0;
        hub_add_export(hub, &export);
        break;
    }
    case STOPS_UNCOUNTED: {
        struct view view = {.export_name = "W"};
        struct hub_export *awaited = hub_await(hub, &view);
        hub->exports.waiting = 0;
        hub_stop_waiting(hub, awaited);
        break;
    }
    }
}

/* ---- cursors that are ahead ---- */

enum { WAIT_TWICE, WAIT_UNCOUNTED, HELD_TWICE, HELD_BY_ANOTHER, DROPS_HELD };

static void break_wait(int fault)
{
    struct subscription *subscription = make(NULL);
    struct held_cursor held = {.subscription = NULL}, *first;
    const struct cursor_place place = {.seq = {9, 0}};
    hub_set_cursor_wait(hub, 1000);
    assert_true(held_begin(subscription, place, &held));
    first = subscription->held;
    switch (fault) {
    case WAIT_TWICE:
        cursor_wait_begin(hub, &first->wait, place, NULL);
        break;
    case WAIT_UNCOUNTED:
        hub->waits.count = 0;
        held_forget(subscription);
        break;
    case HELD_TWICE:
        held_begin(subscription, place, &held);
        break;
    case HELD_BY_ANOTHER:
        subscription->held = &held;
        hub_stop_waits(hub);
        break;
    case DROPS_HELD:
        topic_leave(topic, subscription);
        subscription_drop(subscription);
        break;
    }
}

/* ---- readers ---- */

enum {
    TASK_TWICE,
    TASK_BACK_FOR_NEXT,
    TASK_BACK_TWICE,
    PAGE_BACK,
    TASK_TAKEN_FROM_ANOTHER,
    NO_CHANNEL,
    CURSOR_BACK,
    ROWS_BACK,
    BATCH_FREED,
    NO_GROWN_PAGE
};

static void break_reader(int fault)
{
    static struct read_task next;
    struct subscription *subscription = make(NULL), other = {.subscriber = subscriber};
    switch (fault) {
    case TASK_TWICE:
        subscription->task = &task;
        read_task_start(subscription, &task);
        break;
    case TASK_BACK_FOR_NEXT:
    case TASK_BACK_TWICE:
        hub->engine = memory_new(sizeof *hub->engine);
        assert_true(read_queue_init(&hub->engine->reads, 10));
        assert_true(read_task_start(subscription, &task));
        task.returned = fault == TASK_BACK_TWICE;
        if (fault == TASK_BACK_FOR_NEXT)
            subscription->task = &next;
        task.read.event.deliver(&task.read.event);
        break;
    case PAGE_BACK: {
        struct { /* as catch_up.c has it */
            struct read_task task;
            struct catch_up_page page;
        } it = {.task = {.done = true, .returned = true, .subscription = subscription},
                .page = {.to = 1}};
        subscription->task = &it.task;
        subscription->cursor = 2;
        log_reader.pull(subscription);
        break;
    }
    case TASK_TAKEN_FROM_ANOTHER:
        task.returned = true;
        task.subscription = &other;
        subscription->task = &task;
        read_task_take(subscription);
        break;
    case NO_CHANNEL:
        subscription->live.in_frame_log = true;
        subscription->reader->pull(subscription);
        break;
    case CURSOR_BACK:
        topic_log_enter(subscription);
        subscription->live.in_frame_log = true;
        subscription->cursor = 5;
        subscription->reader->pull(subscription);
        break;
    case ROWS_BACK: {
        struct text *frames = text_new("", 0);
        struct snapshot_batch early = {.references = 1, .frames = frames, .end = {.rows = 2}};
        subscription->snapshot.point.rows = 3;
        subscription->snapshot.batch = &early;
        snapshot_reader.pull(subscription);
        break;
    }
    case BATCH_FREED:
        snapshot_batch_unref(&batch);
        break;
    case NO_GROWN_PAGE:
        subscription->log.holds_grown_page = true;
        log_release(subscription);
        break;
    }
}

/* ---- what is held, and who owns a key ---- */

enum { UNPINNED, PINNED_WIDENED, PREVIOUS_UNCOUNTED, OWNS_NOTHING, HALF_A_FRAME };

static void break_previous(int fault)
{
    struct subscription *subscription = make(NULL);
    struct previous_source source = {.pins = 0};
    struct previous *previous = memory_new(sizeof *previous);
    link_init(&previous->in_list);
    link_init(&previous->in_source);
    link_init(&source.remembered);
    previous->view = view_ref(topic->view);
    previous->kind = PREVIOUS_ALL;
    switch (fault) {
    case UNPINNED:
        previous->pinned = true;
        previous->source = &source;
        link_append(&subscription->previous.rows, &previous->in_list);
        previous_free_all(&subscription->previous.rows);
        break;
    case PINNED_WIDENED:
        previous->pinned = true;
        link_append(&source.remembered, &previous->in_source);
        previous_forget(&source);
        break;
    case PREVIOUS_UNCOUNTED:
        link_append(&subscriber->previous.list, &previous->in_list);
        subscription->asked.with_snapshot = true;
        subscription->asked.limit = -1;
        previous_take(subscription);
        break;
    case HALF_A_FRAME:
    case OWNS_NOTHING: {
        struct subscription *keyed = add("k");
        link_append(&subscriber->owners.list, &keyed->beside.in_owners);
        if (fault == HALF_A_FRAME)
            key_owners_pass(subscriber, span_make("\x82", 1));
        key_owner_left(subscription);
        break;
    }
    }
}

static const struct broken_case cases[] = {
    {break_phase, RESTATES_NOT_LIVE, "subscription->reading == READER_LIVE"},
    {break_phase, LOOKED_UP_BY_NONE, "kind == READER_RESUME || kind == READER_TAPE"},
    {break_phase, NEXT_NOT_IN_TABLE, "follows[subscription->reading][step->next]"},
    {break_phase, BEGINS_WITH_TASK, "!subscription->task"},
    {break_phase, BEGINS_IN_BUILD,
     "link_alone(&subscription->snapshot.in_build) && !subscription->snapshot.batch"},
    {break_phase, BEGINS_WITH_BATCH,
     "link_alone(&subscription->snapshot.in_build) && !subscription->snapshot.batch"},
    {break_phase, NO_READER, "subscription->reader"},
    {break_phase, STILL_READY,
     "link_alone(&subscription->in_ready) && link_alone(&subscription->in_rest)"},
    {break_phase, STILL_RESTS,
     "link_alone(&subscription->in_ready) && link_alone(&subscription->in_rest)"},
    {break_phase, SLOT_TWICE, "step.then != STEP_SLOT"},
    {break_phase, NEGATIVE_ROWS, "rows >= 0"},
    {break_phase, RESTS_NOT_LIVE,
     "subscription->reading == READER_LIVE || subscription->reading == READER_WINDOW"},

    {break_outbox, WAKES_ENDED, "!subscriber->ended"},
    {break_outbox, MESSAGE_TO_ENDED, "!subscriber->ended"},
    {break_outbox, PULLS_ENDED, "!subscriber->ended"},
    {break_outbox, TOO_MANY_SLOTS, "subscriber->slots.taken <= HUB_SLOTS"},
    {break_outbox, NO_SLOT_TO_GIVE, "subscriber->slots.taken > 0"},
    {break_outbox, WAITS_WITH_SLOT, "!next->has_slot && subscriber->slots.taken == HUB_SLOTS"},
    {break_outbox, WAITS_WHILE_FREE, "!next->has_slot && subscriber->slots.taken == HUB_SLOTS"},
    {break_outbox, ANSWERS_PASSED, "subscriber->outbox.control_sent <= control->length"},
    {break_outbox, REST_PASSED, "subscriber->outbox.rest_sent <= rest->length"},
    {break_outbox, REST_LOST,
     "!subscriber->outbox.rest || subscriber->outbox.rest_sent == subscriber->outbox.rest->length"},
    {break_outbox, PIECE_BACK, "rows >= subscriber->metering.rest_rows"},
    {break_outbox, SENT_TOO_MUCH, "length <= pulled"},
    {break_outbox, TOOK_UNSHOWN, "subscription"},
    {break_outbox, SLOT_LEFT, "!subscriber->count && !subscriber->slots.taken"},
    {break_outbox, WAITS_LEFT,
     "link_alone(&subscriber->ready) && link_alone(&subscriber->slots.waiting)"},
    {break_outbox, NO_SUBSCRIBERS, "subscriber->encoding || subscriber->hub->subscriber_count > 0"},
    {break_outbox, BODIES_LATE, "!subscriber->encoding && !subscriber->count"},
    {break_outbox, BODIES_NOT_WRITTEN, "subscriber->encoding"},

    {break_end, DROPS_IN_GROUP, "!subscription->member && !subscription->group"},
    {break_end, DROPS_WITH_TASK, "!subscription->task && !subscription->snapshot.batch"},
    {break_wait, DROPS_HELD, "!subscription->held"},
    {break_wait, HELD_TWICE, "!subscription->held"},
    {break_wait, HELD_BY_ANOTHER, "subscription->held == held"},
    {break_wait, WAIT_TWICE, "!heap_has(&wait->entry)"},
    {break_wait, WAIT_UNCOUNTED, "waits->count > 0"},
    {break_hub, HUB_ENDS_WAITING, "!hub->waits.count"},
    {break_end, DROPS_WITH_SLOT, "!subscription->has_slot && !subscription->log.holds_grown_page"},
    {break_end, DROPS_GROWN_PAGE, "!subscription->has_slot && !subscription->log.holds_grown_page"},
    {break_end, DROPS_READY,
     "link_alone(&subscription->in_ready) && link_alone(&subscription->in_waiting)"},
    {break_end, DROPS_RESTING,
     "link_alone(&subscription->in_rest) && link_alone(&subscription->snapshot.in_build)"},
    {break_end, DROPS_UNCOUNTED, "subscription->subscriber->count > 0"},

    {break_topic, RESTS_IN_LOG, "subscription->reading == READER_LIVE"},
    {break_topic, RESTS_BEHIND, "subscription->cursor >= subscription->topic->hub->backlog.last"},
    {break_topic, JOINS_TWICE, "!subscription->group && !subscription->member"},
    {break_topic, LEAVES_ANOTHER, "subscription->topic == topic && topic->subscriptions > 0"},
    {break_topic, LEAVES_UNCOUNTED, "subscription->topic == topic && topic->subscriptions > 0"},
    {break_topic, LEAVES_HUB_UNCOUNTED, "topic->hub->subscription_count >= topic->subscriptions"},
    {break_topic, LEAVES_UNKEYED,
     "subscription->member || subscription->group || topic->unkeyed > 0"},
    {break_topic, OFFERED_BACK, "topic->offered <= change->id"},
    {break_topic, OFFERED_OTHERS, "topic->export->id == change->export_id"},
    {break_topic, OFFERED_BEYOND, "topic->offered <= head"},
    {break_topic, KEYS_BACK, "!group->count || group->ids[group->first + group->count - 1] < id"},
    {break_topic, KEYS_BEYOND, "group->first + group->count <= group->capacity"},
    {break_topic, FRAME_LOG_UNCOUNTED, "topics->channel_bytes + log->frames.bytes >= before"},
    {break_topic, LEAVES_UNTAKEN_LOG, "log->topic == subscription->topic && log->takers > 0"},
    {break_topic, ENDS_WITH_GROUP,
     "!topic->unkeyed && !topic->groups.count && link_alone(&topic->logs)"},
    {break_topic, ENDS_WITH_WINDOW,
     "link_alone(&topic->resting) && link_alone(&topic->list_windows)"},
    {break_topic, GROUP_ENDS_RESTING, "link_alone(&group->resting)"},

    {break_hub, HUB_ENDS_COUNTING, "!hub->subscriber_count && !hub->subscription_count"},
    {break_hub, HUB_ENDS_WITH_CHANNEL, "!hub->topics.channel_bytes && !hub->grown_pages"},
    {break_hub, HUB_ENDS_WITH_PAGES, "!hub->topics.channel_bytes && !hub->grown_pages"},
    {break_hub, HEAD_BACK, "seq_compare(hub->head, commit->head) <= 0"},
    {break_hub, HEAD_BEYOND, "hub->backlog.last == commit->last_change"},
    {break_hub, TIMES_BACK, "times->newest.change <= head.change"},
    {break_hub, WAITS_UNCOUNTED, "hub->exports.waiting >= waited_for"},
    {break_hub, STOPS_UNCOUNTED, "hub->exports.waiting > 0"},

    {break_reader, TASK_TWICE, "!subscription->task"},
    {break_reader, TASK_BACK_FOR_NEXT, "subscription->task == task && !task->returned"},
    {break_reader, TASK_BACK_TWICE, "subscription->task == task && !task->returned"},
    {break_reader, PAGE_BACK, "subscription->cursor <= page->to"},
    {break_reader, TASK_TAKEN_FROM_ANOTHER, "task->subscription == subscription"},
    {break_reader, NO_CHANNEL, "log && log->topic == subscription->topic"},
    {break_reader, CURSOR_BACK, "subscription->cursor <= subscription->live.at.id"},
    {break_reader, ROWS_BACK, "batch->end.rows >= subscription->snapshot.point.rows"},
    {break_reader, BATCH_FREED, "batch->references > 0"},
    {break_reader, NO_GROWN_PAGE, "subscription->subscriber->hub->grown_pages > 0"},

    {break_previous, UNPINNED, "previous->source->pins > 0"},
    {break_previous, PINNED_WIDENED, "!previous->pinned"},
    {break_previous, PREVIOUS_UNCOUNTED,
     "subscriber->previous.count > 0 && subscriber->previous.bytes >= previous->key_length"},
    {break_hub, PREVIOUS_LIST_LOST,
     "!subscriber->previous.count || !link_alone(&subscriber->previous.list)"},
    {break_previous, HALF_A_FRAME, "frame.length && frame.length <= rest.length"},
    {break_previous, OWNS_NOTHING, "subscription_owns_key(subscription)"},
};

TEST(all_fire)
{
    assert_all_broken(cases, sizeof cases / sizeof *cases, NULL, NULL);
}
