/* What is wrong with an argument is named, and structs of other versions are understood. */
#include "api_fixture.h"
#include "folder.h"
#include "test.h"

TEST_ALL(test_folder_make, test_folder_remove)

static stele *store;

static void any_frame(void *argument, const char *json, size_t length)
{
    (void)argument;
    (void)json;
    (void)length;
}

static bool subscribe_with(stele_subscribe_options options, stele_frame frame)
{
    return stele_subscribe(store, &options, frame, NULL, &refusal) != NULL;
}

static bool query_with(stele_query_options options)
{
    return stele_query_view(store, &options, any_row, NULL, NULL, &refusal);
}

TEST(wrong_arguments_are_named)
{
    static const char invalid[] = "invalid-parameter", line[] = "{}";
    struct flood flood = FLOOD_INIT;
    stele_producer producer;
    store = open_store("arguments");
    REFUSED(stele_apply(store, line, SIZE_MAX, NULL, &refusal), "too-large", "max_request_bytes");
    REFUSED(stele_apply(store, line, SIZE_MAX / 2, NULL, &refusal), "too-large", "bytes");
    REFUSED(stele_apply(store, NULL, 1, NULL, &refusal), invalid, "'lines'");
    REFUSED(stele_apply(NULL, line, 2, NULL, &refusal), invalid, "'store'");
    REFUSED(stele_apply_async(store, line, SIZE_MAX, count_answer, &flood, &refusal), "too-large",
            "max_request_bytes");
    REFUSED(stele_apply_async(store, line, SIZE_MAX - 64, count_answer, &flood, &refusal),
            "too-large", "bytes");
    REFUSED(stele_apply_async(store, NULL, 5, count_answer, &flood, &refusal), invalid, "'lines'");
    REFUSED(stele_apply_async(store, line, 2, NULL, NULL, &refusal), invalid, "'done'");
    REFUSED(stele_apply_async(NULL, line, 2, count_answer, NULL, &refusal), invalid, "'store'");
    REFUSED(stele_producer_position(store, NULL, &producer, &refusal), invalid, "'name'");
    REFUSED(stele_producer_position(store, "p", NULL, &refusal), invalid, "'producer'");
    REFUSED(stele_producer_position(NULL, "p", &producer, &refusal), invalid, "'store'");
    REFUSED(stele_query(store, NULL, NULL, -1, any_row, NULL, &refusal), invalid, "'view'");
    REFUSED(stele_query(store, "E/list", NULL, -1, NULL, NULL, &refusal), invalid, "'row'");
    REFUSED(stele_query(store, "\xff/list", NULL, -1, any_row, NULL, &refusal), invalid, "'view'");
    REFUSED(stele_query(store, "E/list", "\xff", -1, any_row, NULL, &refusal), invalid, "'key'");
    REFUSED(stele_query(NULL, "E/list", NULL, -1, any_row, NULL, &refusal), invalid, "'store'");
    REFUSED(stele_query_view(store, NULL, any_row, NULL, NULL, &refusal), invalid, "'options'");
    REFUSED(stele_run(NULL, &refusal), invalid, "'store'");
    REFUSED(stele_reload(NULL, &refusal), invalid, "'store'");
    REFUSED(stele_open(NULL, &refusal), invalid, "'options'");
    assert_true(stele_apply(store, NULL, 0, NULL, &refusal));
    assert_true(stele_apply_async(store, NULL, 0, count_answer, &flood, &refusal));
    wait_answered(&flood, 1);
    assert_false(stele_apply(store, line, SIZE_MAX, NULL, NULL));
    assert_string_equal(stele_error_message(NULL), "no error");
    assert_string_equal(stele_address(NULL), "");
    assert_string_equal(stele_health_address(NULL), "");
    assert_string_equal(stele_database(NULL), "");
    stele_stop(NULL);
    stele_close(NULL);
    stele_unsubscribe(NULL);
    stele_close(store);
}

TEST(wrong_options_are_refused)
{
    static const char invalid[] = "invalid-parameter";
    stele_subscribe_options subscribe_options = STELE_SUBSCRIBE_INIT;
    stele_query_options query_options = STELE_QUERY_INIT;
    store = open_store("options");
    apply(store, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}");
    REFUSED(subscribe_with(subscribe_options, any_frame), invalid, "'view'");
    subscribe_options.view = "E/list";
    REFUSED(subscribe_with(subscribe_options, NULL), invalid, "'frame'");
    REFUSED(stele_subscribe(store, NULL, any_frame, NULL, &refusal), invalid, "'options'");
    REFUSED(stele_subscribe(NULL, &subscribe_options, any_frame, NULL, &refusal), invalid,
            "'store'");
    static const char *const filters[] = {
        "", "{", "[]", "1", "{\"a\":1},\"view\":\"F/list\"", "{\"a\":1}}", "{\"\":{\"a..b\":1}} "};
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]) - 1; i++) {
        subscribe_options.filters = query_options.filters = filters[i];
        query_options.view = "E/list";
        REFUSED(subscribe_with(subscribe_options, any_frame), invalid, "filters");
        REFUSED(query_with(query_options), invalid, "filters");
    }
    subscribe_options.filters = query_options.filters = NULL;
    subscribe_options.epoch = "\xc0\x80";
    REFUSED(subscribe_with(subscribe_options, any_frame), invalid, "'epoch'");
    subscribe_options.epoch = NULL;
    subscribe_options.struct_size = 7;
    REFUSED(subscribe_with(subscribe_options, any_frame), invalid, "STELE_SUBSCRIBE_INIT");
    query_options.struct_size = SIZE_MAX;
    REFUSED(query_with(query_options), invalid, "STELE_QUERY_INIT");
    stele_options options = STELE_OPTIONS_INIT;
    options.database = "/tmp/never.db";
    options.setting_count = 1;
    REFUSED(stele_open(&options, &refusal), invalid, "'settings'");
    const char *none = NULL;
    options.settings = &none;
    REFUSED(stele_open(&options, &refusal), invalid, "settings");
    stele_close(store);
}

/* Built with an older header, and with a newer one that has another field at the end. */
TEST(structs_of_other_versions_are_understood)
{
    struct {
        stele_subscribe_options known;
        int64_t later;
    } newer = {.known = STELE_SUBSCRIBE_INIT};
    struct frames frames = FRAMES_INIT;
    store = open_store("versions");
    apply(store, "{\"export\":\"E\",\"key\":\"a\",\"patch\":{}}");
    newer.known.view = "E/list";
    newer.known.struct_size = sizeof(newer);
    assert_non_null(stele_subscribe(store, &newer.known, on_frame, &frames, &refusal));
    wait_for(&frames, 2, true);
    newer.later = 1;
    REFUSED(stele_subscribe(store, &newer.known, on_frame, &frames, &refusal), "invalid-parameter",
            "does not know");
    newer.known.struct_size = offsetof(stele_subscribe_options, filters);
    newer.known.filters = "no older program has this";
    assert_non_null(stele_subscribe(store, &newer.known, on_frame, &frames, &refusal));
    wait_for(&frames, 4, true);
    stele_close(store);
}
