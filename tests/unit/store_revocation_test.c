/* Revoked tokens: kept across a restart, bounded, and gone when their tokens have run out. */
#include "store/store_internal.h"
#include "store_fixture.h"

TEST_EACH(set_up, tear_down)

static bool put_one(const char *token_id, int64_t expires_at, int64_t at)
{
    bool kept;
    struct store_revocation revocation = {span_of(token_id), expires_at, at};
    OK(store_revocation_put(fixture.writer, &revocation, &kept, &fixture.error));
    return kept;
}

static bool tell(void *lines, const struct store_revocation *revocation)
{
    return add_line(lines, "%.*s %lld %lld\n", (int)revocation->token_id.length,
                    revocation->token_id.data, (long long)revocation->expires_at,
                    (long long)revocation->at);
}

static void expect(const char *text)
{
    struct lines lines = {.left = 99};
    OK(store_read_revocations(fixture.reader, tell, &lines, &fixture.error));
    assert_string_equal(lines.text, text);
}

static void trim(int64_t now, int64_t step, bool expect_more)
{
    bool more;
    begin();
    OK(store_revocation_trim(fixture.writer, now + STORE_REVOCATION_GRACE, step, &more,
                             &fixture.error));
    commit();
    assert_int_equal(more, expect_more);
}

TEST(what_is_revoked_stays_so)
{
    begin();
    assert_true(put_one("b", 200, 7));
    assert_true(put_one("a", 0, 8));
    assert_true(put_one("\303\274 '\"", 300, 9));
    commit();
    expect("a 0 8\nb 200 7\n\303\274 '\" 300 9\n");
    close_store();
    open_store();
    expect("a 0 8\nb 200 7\n\303\274 '\" 300 9\n");
    check_whole();
}

TEST(the_later_end_holds)
{
    begin();
    assert_true(put_one("a", 100, 1));
    assert_true(put_one("a", 50, 2));
    assert_true(put_one("b", 100, 1));
    assert_true(put_one("b", 150, 2));
    assert_true(put_one("c", 100, 1));
    assert_true(put_one("c", 0, 2));
    assert_true(put_one("c", 500, 3));
    commit();
    expect("a 100 1\nb 150 1\nc 0 1\n");
}

TEST(rows_go_when_their_tokens_have_run_out)
{
    begin();
    for (int i = 1; i <= 5; i++) {
        char id[2] = {(char)('a' + i), 0};
        assert_true(put_one(id, i * 10, 0));
    }
    assert_true(put_one("for ever", 0, 0));
    commit();
    trim(9, 10, false);
    expect("b 10 0\nc 20 0\nd 30 0\ne 40 0\nf 50 0\nfor ever 0 0\n");
    trim(10, 10, false);
    expect("c 20 0\nd 30 0\ne 40 0\nf 50 0\nfor ever 0 0\n");
    trim(40, 2, true);
    expect("e 40 0\nf 50 0\nfor ever 0 0\n");
    trim(40, 2, false);
    trim(INT32_MAX, 10, false);
    expect("for ever 0 0\n");
}

TEST(a_rollback_takes_it_back)
{
    begin();
    assert_true(put_one("a", 0, 0));
    store_rollback(fixture.writer);
    expect("");
    bool kept;
    struct store_revocation revocation = {span_of("a"), 0, 0};
    assert_false(store_revocation_put(fixture.writer, &revocation, &kept, &fixture.error));
    expect("");
}

TEST(there_is_an_end_to_them)
{
    char id[24];
    begin();
    OK(connection_execute(&fixture.writer->connection,
                          "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                          "i < 99999) INSERT INTO revoked_token SELECT 't' || i, i, 0 FROM n",
                          &fixture.error));
    assert_true(put_one("last", 0, 0));
    assert_false(put_one("more", 0, 0));
    snprintf(id, sizeof id, "t%d", 50000);
    assert_true(put_one(id, 0, 0)); /* one that is there needs no room */
    commit();
    trim(1, 10, false);
    begin();
    assert_true(put_one("more", 0, 0));
    assert_false(put_one("still more", 0, 0));
    commit();
    check_whole();
}
