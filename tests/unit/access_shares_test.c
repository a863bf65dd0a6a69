/* Shares of a pool: counted once, given back once; and whose is broken off. */
#include "access/access.h"
#include "access/shares.h"
#include "memory_fault.h"
#include "test.h"

enum { SHARES = 60, OWNERS = 7, STEPS = 50000 };

static void set(struct share *share, struct shares *shares, uint64_t owner, size_t amount)
{
    assert_true(share_set(share, shares, owner, amount));
}

TEST(the_sums_are_true)
{
    struct shares shares = {.total = 0};
    struct share all[SHARES] = {{.amount = 0}};
    uint64_t owners[SHARES] = {0};
    unsigned seed = 5;
    for (int step = 0; step < STEPS; step++) {
        int i = rand_r(&seed) % SHARES;
        size_t amount = rand_r(&seed) % 3 ? (size_t)rand_r(&seed) % 100000 : 0, total = 0;
        if (!all[i].owner)
            owners[i] = (uint64_t)rand_r(&seed) % OWNERS;
        set(&all[i], &shares, owners[i], amount);
        size_t of_owner[OWNERS] = {0}, count = 0;
        for (int k = 0; k < SHARES; k++) {
            total += all[k].amount;
            of_owner[owners[k]] += all[k].amount;
        }
        assert_int_equal(shares.total, total);
        for (uint64_t owner = 0; owner < OWNERS; owner++) {
            assert_int_equal(shares_amount(&shares, owner), of_owner[owner]);
            count += of_owner[owner] > 0;
        }
        assert_int_equal(shares.owners.count, count);
    }
    for (int i = 0; i < SHARES; i++)
        share_end(&all[i], &shares);
    assert_int_equal(shares.total, 0);
    assert_int_equal(shares.owners.count, 0);
}

TEST(the_owner_with_most_gives_back)
{
    struct shares shares = {.total = 0};
    struct share greedy[10] = {{.amount = 0}}, other = {.amount = 0}, third = {.amount = 0};
    for (int i = 0; i < 10; i++)
        set(&greedy[i], &shares, 1, 1000);
    set(&greedy[4], &shares, 1, 5000);
    set(&greedy[7], &shares, 1, 5000);
    set(&other, &shares, 2, 9000);
    set(&third, &shares, 3, 1);
    /* The oldest of the largest; whoever asks, and however large its own one is. */
    assert_ptr_equal(shares_victim(&shares, &other), &greedy[4]);
    assert_ptr_equal(shares_victim(&shares, &third), &greedy[4]);
    /* Among its own: one that is larger; else it is the taker itself. */
    assert_ptr_equal(shares_victim(&shares, &greedy[1]), &greedy[4]);
    assert_null(shares_victim(&shares, &greedy[4]));
    assert_null(shares_victim(&shares, &greedy[7]));
    for (int i = 0; i < 10; i++)
        share_end(&greedy[i], &shares);
    /* Who has most itself is asked itself; of equal ones, too. */
    assert_null(shares_victim(&shares, &other));
    set(&third, &shares, 3, 9000);
    assert_null(shares_victim(&shares, &other));
    assert_null(shares_victim(&shares, &third));
    share_end(&other, &shares);
    share_end(&third, &shares);
}

static uint64_t owner_of(const char *subject, const char *address, bool anonymous, bool is_static)
{
    struct auth_identity identity = {
        .subject = (char *)subject, .is_anonymous = anonymous, .is_static = is_static};
    struct principal principal = {.identity = &identity};
    snprintf(principal.address, sizeof principal.address, "%s", address);
    return shares_owner_of(&principal);
}

TEST(an_owner_is_a_subject_or_an_address)
{
    uint64_t ann = owner_of("ann", "192.0.2.7", false, false);
    assert_int_equal(ann, owner_of("ann", "192.0.2.8", false, false));
    assert_int_not_equal(ann, owner_of("bob", "192.0.2.7", false, false));
    /* A subject that everybody has is nobody's, and no subject is an address. */
    uint64_t site = owner_of("anonymous", "192.0.2.7", true, false);
    assert_int_equal(site, owner_of("ops", "::ffff:192.0.2.7", false, true));
    assert_int_not_equal(site, owner_of("anonymous", "192.0.2.8", true, false));
    assert_int_not_equal(site, owner_of("192.0.2.7", "192.0.2.7", false, false));
    assert_int_equal(owner_of("", "2001:db8::1", true, false),
                     owner_of("", "2001:db8::2:1", true, false));
    assert_int_not_equal(owner_of("", "2001:db8::1", true, false),
                         owner_of("", "2001:db8:0:1::1", true, false));
    assert_int_not_equal(owner_of("", "", true, false), 0);
}

TEST(without_memory_nothing_changes)
{
    struct shares shares = {.total = 0};
    struct share share = {.amount = 0};
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        memory_fail_at(nth, 0);
        bool done = share_set(&share, &shares, 4, 10);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_true(done == !hit);
        assert_int_equal(shares.total, done ? 10 : 0);
        assert_int_equal(shares.owners.count, done ? 1 : 0);
        share_end(&share, &shares);
    }
}
