/*
 * A host program that embeds stele: it opens a store in a fresh folder, feeds it, watches a view
 * change, and asks what is in it. It opens no network port.
 *
 *   cc embed.c $(pkg-config --cflags --libs stele) -o embed && ./embed
 */
#include <stele/stele.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Callbacks come on a thread of the library, so what they share with main has a lock. */
struct watcher {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int frames;
};

static void on_frame(void *argument, const char *json, size_t length)
{
    struct watcher *watcher = argument;
    printf("  frame  %.*s\n", (int)length, json);
    pthread_mutex_lock(&watcher->lock);
    watcher->frames++;
    pthread_cond_signal(&watcher->changed);
    pthread_mutex_unlock(&watcher->lock);
}

static void wait_for_frames(struct watcher *watcher, int count)
{
    pthread_mutex_lock(&watcher->lock);
    while (watcher->frames < count)
        pthread_cond_wait(&watcher->changed, &watcher->lock);
    pthread_mutex_unlock(&watcher->lock);
}

static bool on_row(void *argument, const stele_row *row)
{
    int *rows = argument;
    ++*rows;
    printf("  row    %s at %s: %s\n", row->key, row->seq, row->data);
    return true;
}

static bool feed(stele *store, const char *lines, stele_error *error)
{
    stele_result result;
    if (!stele_apply(store, lines, strlen(lines), &result, error))
        return false;
    printf("  on disk: %llu applied, the last is %s\n", (unsigned long long)result.applied,
           result.seq);
    return true;
}

static bool use(stele *store, struct watcher *watcher, stele_error *error)
{
    printf("two quakes:\n");
    if (!feed(store,
              "{\"export\":\"Quake\",\"key\":\"a\",\"patch\":{\"mag\":4.5,\"place\":\"Chile\"}}\n"
              "{\"export\":\"Quake\",\"key\":\"b\",\"patch\":{\"mag\":2.1,\"place\":\"Japan\"}}\n",
              error))
        return false;

    printf("a subscription gets what is there, and then every change:\n");
    stele_subscribe_options options = STELE_SUBSCRIBE_INIT;
    options.view = "Quake/list";
    stele_subscription *subscription = stele_subscribe(store, &options, on_frame, watcher, error);
    if (!subscription)
        return false;
    wait_for_frames(watcher, 2); /* "subscribed" and the snapshot */
    if (!feed(store, "{\"export\":\"Quake\",\"key\":\"a\",\"patch\":{\"mag\":4.7}}", error))
        return false;
    wait_for_frames(watcher, 3);
    stele_unsubscribe(subscription);

    printf("a query reads the same, merged:\n");
    int rows = 0;
    if (!stele_query(store, "Quake/list", NULL, -1, on_row, &rows, error))
        return false;

    printf("what is wrong is named, and nothing of it is applied:\n");
    if (feed(store, "{\"export\":\"Quake\",\"key\":\"c\"}", error))
        return false;
    printf("  %s: %s\n", error->code, stele_error_message(error));
    return rows == 2;
}

int main(void)
{
    char folder[] = "/tmp/stele-example-XXXXXX";
    char file[64];
    if (!mkdtemp(folder))
        return EXIT_FAILURE;
    snprintf(file, sizeof(file), "%s/quakes.db", folder);

    struct watcher watcher = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    stele_error error = {0};
    stele_options options = STELE_OPTIONS_INIT;
    options.database = file;
    stele *store = stele_open(&options, &error);
    bool good = store && use(store, &watcher, &error);
    if (!good)
        fprintf(stderr, "%s\n", stele_error_message(&error));
    stele_close(store);

    /* A real program would keep them. */
    const char *const endings[] = {"", "-wal", "-shm", ".lock", "-lock"};
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        snprintf(file, sizeof(file), "%s/quakes.db%s", folder, endings[i]);
        unlink(file);
    }
    rmdir(folder);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
