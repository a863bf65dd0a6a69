/*
 * Topics: one per view with subscribers, and per scope if its rows are scoped. The part that the
 * hub's files know; of the loop thread.
 */
#ifndef DELIVERY_TOPIC_H
#define DELIVERY_TOPIC_H

#include "base/link.h"
#include "delivery/hub.h"
#include "rows/label_index.h"

struct subscriber;
struct subscription;
struct window_spec;

/* One that is waited for is known by its name alone, for as long as there is a topic of it. */
struct hub_export {
    uint32_t id;         /* UINT32_MAX while it is waited for */
    bool waiting;        /* subscribed to, and never fed */
    uint64_t counted;    /* of one that is waited for: see hub_may_wait */
    int64_t last_change; /* its newest, as far as the loop knows */
    uint64_t changes;    /* of it, since the start */
    struct link topics;
    struct label_index by_label; /* the same, by whom a row is for */
    size_t name_length;
    char name[];
};

struct topic {
    struct hub *hub;
    struct link in_export; /* hub_export.topics */
    struct hub_export *export;
    const struct view *view;    /* one reference */
    struct row_scope *scope;    /* whose rows of it; one reference; NULL: they are not scoped */
    struct label_member labels; /* in export->by_label */
    struct link in_touched;     /* hub.topics.touched */
    int64_t offered;            /* the newest change that it was offered */
    enum wire_mode mode;
    const struct wire_encoding *encoding; /* of its frames */
    size_t subscriptions;
    size_t windows;           /* of this view, also those without members */
    struct link list_windows; /* window.listing.in_list: of those the ones without a stage */
    size_t unkeyed;           /* subscriptions without a key, to the whole view */
    struct link logs;         /* struct topic_log, while such subscriptions take from them */
    struct link resting;      /* unkeyed subscriptions at the head */
    struct map groups;        /* struct key_group by key */
    size_t name_length;
    char name[]; /* the view's id; where rows are scoped also for whom; and of bodies, a mark */
};

/* topic_log.c: ready frames of a topic, for all whose heads have one length. */
struct topic_log {
    struct topic *topic;
    struct link in_topic; /* topic.logs */
    struct link in_long;  /* hub.topics.long_frame_logs */
    struct frame_log
        frames;    /* with room for the heads; of bodies without, and of version 1, none */
    size_t takers; /* subscriptions that take from it */
};

/* Everybody who wants one key of one view, and the backlog's changes of it. */
struct key_group {
    struct topic *topic;
    struct link members; /* subscription.in_group */
    struct link resting; /* subscription.in_rest: those at the head */
    int64_t *ids;        /* growing; older than the backlog are dropped */
    size_t first, count, capacity;
    size_t key_length;
    char key[];
};

enum wire_mode topic_mode(const struct view *view);
/* Find or make the topic of a view for the subscriber, whose scope does not matter where rows are
 * not scoped; NULL when out of memory. */
struct topic *topic_get(const struct subscriber *subscriber, const struct view *view);
/* Make it one of those that want all, or (not absent) that key; or, with a spec, a member of that
 * window of the topic. False when out of memory, or with the error of the window. */
bool topic_join(struct topic *topic, struct subscription *subscription, struct span key,
                struct window_spec *spec, struct error *error);
void topic_leave(struct topic *topic, struct subscription *subscription);
/* Free it if neither subscription nor window needs it. */
void topic_drop_unused(struct topic *topic);
/* A change of the topic's export: frames into the frame logs, wake who waits for the key. */
void topic_offer(struct topic *topic, const struct change *change);
/* The end of a commit of the changes first … head, all offered, for a topic that it touched; wake
 * who rests. */
void topic_settle(struct topic *topic, int64_t first, int64_t head);
/* Have the subscription take from a frame log of its topic, until it leaves it; false when out of
 * memory. */
bool topic_log_enter(struct subscription *subscription);
void topic_log_leave(struct subscription *subscription);
/* A change that the topic shows, into all its frame logs. */
void topic_logs_offer(struct topic *topic, const struct change *change);
/* Bring the frame log up to that change: what it was not offered is not for it. */
void topic_log_pass(struct topic_log *log, int64_t head);
/* Keep the ready frames of all topics within their cap. */
void topics_trim(struct hub *hub);
/* The subscription has everything there is: rest until the topic has more. */
void topic_rest(struct subscription *subscription);

#endif
