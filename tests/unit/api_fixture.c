/* Stores of a test, and what comes out of them, collected. */
#include "api_fixture.h"
#include "folder.h"
#include "test.h"

char file[80];
stele_error refusal;

/* Each test has a database of its own. */
stele *open_as(const char *name, stele_options options)
{
    stele_error error = {0};
    snprintf(file, sizeof(file), "%s/%s.db", test_folder, name);
    options.database = file;
    stele *store = stele_open(&options, &error);
    if (!store)
        fail_msg("%s", error.message);
    return store;
}

stele *open_with(const char *name, const char *const *settings, size_t count)
{
    stele_options options = STELE_OPTIONS_INIT;
    options.settings = settings;
    options.setting_count = count;
    return open_as(name, options);
}

stele *open_store(const char *name)
{
    static const char *const settings[] = {"log_level=error"};
    return open_with(name, settings, 1);
}

void apply(stele *store, const char *lines)
{
    stele_error error = {0};
    if (!stele_apply(store, lines, strlen(lines), NULL, &error))
        fail_msg("%s", error.message);
}

/* ---- frames ---- */

void on_frame(void *argument, const char *json, size_t length)
{
    struct frames *frames = argument;
    pthread_mutex_lock(&frames->lock);
    assert_int_equal(strlen(json), length);
    frames->count++;
    snprintf(frames->last, sizeof(frames->last), "%s", json);
    for (const char *row = json; (row = strstr(row, "{\"key\":\"")); row++)
        frames->rows++;
    frames->complete = frames->complete || strstr(json, "\"complete\":true") != NULL;
    if (frames->leave_after > 0 && frames->count >= frames->leave_after)
        stele_unsubscribe(frames->subscription);
    pthread_cond_broadcast(&frames->changed);
    pthread_mutex_unlock(&frames->lock);
}

void wait_for(struct frames *frames, int count, bool complete)
{
    pthread_mutex_lock(&frames->lock);
    while (frames->count < count || (complete && !frames->complete))
        pthread_cond_wait(&frames->changed, &frames->lock);
    pthread_mutex_unlock(&frames->lock);
}

stele_subscription *subscribe(stele *store, const char *view, struct frames *frames)
{
    stele_subscribe_options options = STELE_SUBSCRIBE_INIT;
    stele_error error = {0};
    options.view = view;
    stele_subscription *subscription = stele_subscribe(store, &options, on_frame, frames, &error);
    if (!subscription)
        fail_msg("%s", error.message);
    return subscription;
}

/* ---- requests ---- */

void count_answer(void *argument, const stele_result *result, const stele_error *error)
{
    struct flood *flood = argument;
    pthread_mutex_lock(&flood->lock);
    flood->answered++;
    if (error || result->applied != 1) {
        flood->refused++;
        snprintf(flood->code, sizeof(flood->code), "%s", error ? error->code : "not applied");
    }
    pthread_cond_broadcast(&flood->changed);
    pthread_mutex_unlock(&flood->lock);
}

void wait_answered(struct flood *flood, int count)
{
    pthread_mutex_lock(&flood->lock);
    while (flood->answered < count)
        pthread_cond_wait(&flood->changed, &flood->lock);
    pthread_mutex_unlock(&flood->lock);
}

bool feed_one(stele *store, int number, struct flood *flood, stele_error *error)
{
    char line[96];
    int length = snprintf(line, sizeof(line),
                          "{\"export\":\"E\",\"key\":\"k\",\"patch\":{\"n\":%d}}", number);
    return stele_apply_async(store, line, (size_t)length, count_answer, flood, error);
}

/* ---- rows ---- */

bool on_row(void *argument, const stele_row *row)
{
    struct rows *rows = argument;
    rows->count++;
    assert_int_equal(strlen(row->key), row->key_length);
    assert_int_equal(strlen(row->data), row->data_length);
    if (strlen(rows->keys) + row->key_length + 2 < sizeof(rows->keys)) {
        strcat(rows->keys, row->key);
        strcat(rows->keys, " ");
    }
    snprintf(rows->last, sizeof(rows->last), "%s %.200s", row->seq, row->data);
    return rows->count != rows->stop_after;
}

stele *open_serving(const char *name)
{
    static const char *const settings[] = {"log_level=error"};
    stele_options options = STELE_OPTIONS_INIT;
    options.settings = settings;
    options.setting_count = 1;
    options.listen = options.health = "127.0.0.1:0";
    return open_as(name, options);
}

bool any_row(void *argument, const stele_row *row)
{
    (void)argument;
    (void)row;
    return true;
}
