/* Addresses, networks, and the client behind proxies. */
#include "base/address.h"
#include "memory_fault.h"
#include "random.h"
#include "test.h"

static struct address address_of(const char *text)
{
    struct address address;
    if (!address_parse(&address, span_of(text)))
        fail_msg("no address: %s", text);
    return address;
}

static void expect_printed(const char *text, const char *printed)
{
    struct address address = address_of(text);
    char found[ADDRESS_TEXT];
    address_print(&address, found);
    assert_string_equal(found, printed);
}

TEST(test_one_form)
{
    expect_printed("192.0.2.7", "192.0.2.7");
    expect_printed("192.0.2.7:8080", "192.0.2.7");
    expect_printed("::ffff:192.0.2.7", "192.0.2.7");
    expect_printed("::FFFF:c000:0207", "192.0.2.7");
    expect_printed("[::ffff:192.0.2.7]:80", "192.0.2.7");
    expect_printed("2001:DB8:0:0::7", "2001:db8::7");
    expect_printed("[2001:db8::7]", "2001:db8::7");
    expect_printed("[2001:db8::7]:443", "2001:db8::7");
    expect_printed("::1", "::1");
}

TEST(test_no_address)
{
    static const char *const wrong[] = {"",
                                        "unknown",
                                        "_hidden",
                                        "1.2.3",
                                        "1.2.3.256",
                                        "1.2.3.4:",
                                        "1.2.3.4:x",
                                        "1.2.3.4:65536",
                                        "1.2.3.4 ",
                                        "01.2.3.4",
                                        "[1.2.3.4]",
                                        "[::1",
                                        "[::1]x",
                                        "[::1]:",
                                        "[]",
                                        "::1::",
                                        "fe80::1%lo",
                                        "localhost",
                                        "1.2.3.4/24",
                                        "[::1]:80:90",
                                        "1.2.3.4,::1",
                                        "::ffff:1.2.3.4.5",
                                        "2001:db8:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0"};
    struct address address;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (address_parse(&address, span_of(wrong[i])))
            fail_msg("taken for an address: %s", wrong[i]);
    assert_false(address_parse(&address, span_make("1.2.3.4\0", 8)));
}

/* One host of IPv4, one site of IPv6. */
TEST(test_sites)
{
    struct address one = address_of("2001:db8:1:2::1"), same = address_of("2001:db8:1:2:ffff::9"),
                   other = address_of("2001:db8:1:3::1"), host = address_of("192.0.2.7"),
                   mapped = address_of("::ffff:192.0.2.7"), next = address_of("192.0.2.8");
    assert_true(span_equal(address_site(&one), address_site(&same)));
    assert_false(span_equal(address_site(&one), address_site(&other)));
    assert_true(span_equal(address_site(&host), address_site(&mapped)));
    assert_false(span_equal(address_site(&host), address_site(&next)));
}

static void expect_in(const char *list, const char *text, bool expected)
{
    struct networks networks;
    struct error error;
    struct address address = address_of(text);
    if (!networks_parse(&networks, list, &error))
        fail_msg("%s", error.message);
    if (networks_have(&networks, &address) != expected)
        fail_msg("%s in \"%s\": not %d", text, list, expected);
    networks_fini(&networks);
}

TEST(test_networks)
{
    expect_in("", "192.0.2.7", false);
    expect_in("192.0.2.7", "192.0.2.7", true);
    expect_in("192.0.2.7", "192.0.2.6", false);
    expect_in("10.0.0.0/8,  ::1 172.16.0.0/12", "172.31.255.255", true);
    expect_in("10.0.0.0/8,  ::1 172.16.0.0/12", "172.32.0.0", false);
    expect_in("10.0.0.0/8,  ::1 172.16.0.0/12", "::1", true);
    expect_in("10.0.0.0/8", "::ffff:10.1.2.3", true);
    expect_in("::ffff:10.0.0.0/104", "10.1.2.3", true);
    expect_in("2001:db8::/33", "2001:db8:7fff::", true);
    expect_in("2001:db8::/33", "2001:db8:8000::", false);
    expect_in("0.0.0.0/0", "192.0.2.7", true);
    expect_in("0.0.0.0/0", "2001:db8::1", false);
    expect_in("::/0", "192.0.2.7", true);
    expect_in("10.0.0.1/32", "10.0.0.1", true);
    expect_in("10.0.0.0/31", "10.0.0.2", false);
}

TEST(test_wrong_networks)
{
    static const char *const wrong[] = {"10.0.0.0/33",  "10.0.0.0/",    "10.0.0.0/x",  "::/129",
                                        "10.0.0.0/-1",  "proxy.local",  "10.0.0.1:80", "/8",
                                        "10.0.0.1;::1", "10.0.0.0/8/9", "10.0.0.1, x"};
    struct networks networks;
    struct error error;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (networks_parse(&networks, wrong[i], &error))
            fail_msg("taken for networks: %s", wrong[i]);
        assert_int_equal(error.code, ERROR_CONFIGURATION);
    }
    memory_fail_at(1, 1);
    assert_false(networks_parse(&networks, "10.0.0.1", &error));
    memory_fail_at(0, 0);
    assert_int_equal(error.code, ERROR_MEMORY);
}

static void expect_client(const char *peer, enum forwarded_form form, const char *list,
                          const char *client)
{
    struct networks trusted;
    struct error error;
    struct address from = address_of(peer), found;
    char text[ADDRESS_TEXT];
    assert_true(networks_parse(&trusted, "10.0.0.0/8, ::1, fd00::/8", &error));
    found = forwarded_client(&trusted, &from, form, span_of(list));
    address_print(&found, text);
    if (strcmp(text, client) != 0)
        fail_msg("peer %s, list \"%s\": %s instead of %s", peer, list, text, client);
    networks_fini(&trusted);
}

TEST(test_forwarded_list)
{
    /* Believed of proxies alone. */
    expect_client("192.0.2.1", FORWARDED_LIST, "198.51.100.9", "192.0.2.1");
    expect_client("10.0.0.1", FORWARDED_LIST, "", "10.0.0.1");
    expect_client("10.0.0.1", FORWARDED_LIST, "198.51.100.9", "198.51.100.9");
    expect_client("::1", FORWARDED_LIST, "198.51.100.9:4711", "198.51.100.9");
    expect_client("::ffff:10.0.0.1", FORWARDED_LIST, "2001:db8::9", "2001:db8::9");
    /* From the right, past proxies; what the client wrote itself does not count. */
    expect_client("10.0.0.1", FORWARDED_LIST, "1.1.1.1, 198.51.100.9", "198.51.100.9");
    expect_client("10.0.0.1", FORWARDED_LIST, "1.1.1.1,198.51.100.9 ,10.0.0.2", "198.51.100.9");
    expect_client("10.0.0.1", FORWARDED_LIST, "10.0.0.3, 198.51.100.9, fd00::1,10.0.0.2",
                  "198.51.100.9");
    expect_client("10.0.0.1", FORWARDED_LIST, "10.0.0.3, 10.0.0.2", "10.0.0.3");
    /* Where it makes no sense, the last that is known. */
    expect_client("10.0.0.1", FORWARDED_LIST, "198.51.100.9, unknown", "10.0.0.1");
    expect_client("10.0.0.1", FORWARDED_LIST, "198.51.100.9, , 10.0.0.2", "10.0.0.2");
    expect_client("10.0.0.1", FORWARDED_LIST, "198.51.100.9,", "10.0.0.1");
}

TEST(test_forwarded_elements)
{
    expect_client("10.0.0.1", FORWARDED_ELEMENTS, "for=198.51.100.9", "198.51.100.9");
    expect_client("10.0.0.1", FORWARDED_ELEMENTS,
                  "for=1.1.1.1, proto=https; For=\"[2001:db8::9]:4711\" ;by=10.0.0.1",
                  "2001:db8::9");
    expect_client("10.0.0.1", FORWARDED_ELEMENTS, "for=198.51.100.9;proto=http, for=10.0.0.7",
                  "198.51.100.9");
    expect_client("10.0.0.1", FORWARDED_ELEMENTS, "for=198.51.100.9, by=10.0.0.7", "10.0.0.1");
    expect_client("10.0.0.1", FORWARDED_ELEMENTS, "for=_hidden", "10.0.0.1");
    expect_client("192.0.2.1", FORWARDED_ELEMENTS, "for=198.51.100.9", "192.0.2.1");
}

/* Whatever a client writes into the header, the answer is an address, and what is behind a trusted
 * proxy's own entry is never believed. */
TEST(test_nonsense)
{
    static const char pieces[] = ",;=: \"[]./%for0123456789abcdefFOR_";
    struct networks trusted;
    struct error error;
    char list[64];
    random_start(1);
    assert_true(networks_parse(&trusted, "10.0.0.0/8", &error));
    struct address peer = address_of("10.0.0.1"), appended = address_of("198.51.100.9");
    for (int i = 0; i < 300000; i++) {
        size_t length = 0;
        for (size_t wanted = random_below(40); length < wanted; length++)
            list[length] = pieces[random_below(sizeof pieces - 1)];
        char *exact = memory_copy_string(list, length); /* so that reading beyond is seen */
        struct span text = span_make(exact, length);
        forwarded_client(&trusted, &peer, FORWARDED_LIST, text);
        forwarded_client(&trusted, &peer, FORWARDED_ELEMENTS, text);
        memory_free(exact);
        memcpy(list + length, ",198.51.100.9", 13);
        struct address client =
            forwarded_client(&trusted, &peer, FORWARDED_LIST, span_make(list, length + 13));
        assert_memory_equal(client.bytes, appended.bytes, sizeof client.bytes);
    }
    networks_fini(&trusted);
}
