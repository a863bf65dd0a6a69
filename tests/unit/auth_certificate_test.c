/*
 * Certificates: which files are taken, what is said of those that are not, and that a handshake
 * shows the one that is in force at that time.
 */
#include "auth/tls_stream.h"
#include "memory_fault.h"
#include "test.h"

#include <malloc.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <time.h>

enum { DAY = 86400 };

/* ---- making some ---- */

struct pem {
    char certificate[8192], key[8192];
};

static void drain(BIO *bytes, char *out, size_t size)
{
    int length = BIO_read(bytes, out, (int)size - 1);
    assert_true(length > 0 && length < (int)size - 1);
    out[length] = '\0';
    BIO_free(bytes);
}

static EVP_PKEY *make_dsa(void)
{
    EVP_PKEY *parameters = NULL, *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "DSA", NULL);
    assert_true(EVP_PKEY_paramgen_init(context) > 0);
    assert_true(EVP_PKEY_CTX_set_dsa_paramgen_bits(context, 1024) > 0);
    assert_true(EVP_PKEY_paramgen(context, &parameters) > 0);
    EVP_PKEY_CTX_free(context);
    context = EVP_PKEY_CTX_new_from_pkey(NULL, parameters, NULL);
    assert_true(EVP_PKEY_keygen_init(context) > 0 && EVP_PKEY_keygen(context, &key) > 0);
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(parameters);
    return key;
}

static EVP_PKEY *make_key(const char *kind)
{
    EVP_PKEY *key = strcmp(kind, "rsa") == 0       ? EVP_RSA_gen(2048)
                    : strcmp(kind, "sha1") == 0    ? EVP_RSA_gen(2048)
                    : strcmp(kind, "short") == 0   ? EVP_RSA_gen(1024)
                    : strcmp(kind, "dsa") == 0     ? make_dsa()
                    : strcmp(kind, "bitcoin") == 0 ? EVP_EC_gen("secp256k1")
                    : strcmp(kind, "p384") == 0    ? EVP_EC_gen("P-384")
                    : strcmp(kind, "ec") == 0      ? EVP_EC_gen("P-256")
                                                   : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_non_null(key);
    return key;
}

static X509 *make_certificate(EVP_PKEY *key, const char *kind, const char *name, int64_t from,
                              int64_t to)
{
    X509 *made = X509_new();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_time_adj_ex(X509_getm_notBefore(made), 0, (long)from, NULL);
    X509_time_adj_ex(X509_getm_notAfter(made), 0, (long)to, NULL);
    X509_set_pubkey(made, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_UTF8,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made, X509_get_subject_name(made));
    bool edwards = EVP_PKEY_is_a(key, "ED25519");
    const EVP_MD *hash = strcmp(kind, "sha1") == 0 ? EVP_sha1() : EVP_sha256();
    assert_true(X509_sign(made, key, edwards ? NULL : hash) > 0);
    return made;
}

/* A pair that is valid from and to so many seconds from now. */
static struct pem make_pair(const char *kind, const char *name, int64_t from, int64_t to)
{
    struct pem pem;
    EVP_PKEY *key = make_key(kind);
    X509 *certificate = make_certificate(key, kind, name, from, to);
    BIO *bytes = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bytes, certificate);
    drain(bytes, pem.certificate, sizeof pem.certificate);
    bytes = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bytes, key, NULL, NULL, 0, NULL, NULL);
    drain(bytes, pem.key, sizeof pem.key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return pem;
}

static struct certificate *read_pair(const struct pem *pem)
{
    struct error error;
    struct certificate *certificate = certificate_new(span_of(pem->certificate), &error);
    assert_non_null(certificate);
    assert_true(certificate_add_key(certificate, span_of(pem->key), &error));
    return certificate;
}

/* ---- reading ---- */

TEST(takes_every_kind_of_key)
{
    const char *const kinds[] = {"rsa", "ec", "ed25519"};
    for (size_t i = 0; i < 3; i++) {
        struct pem pem = make_pair(kinds[i], "example.org", -DAY, DAY);
        struct certificate *certificate = read_pair(&pem);
        struct buffer who;
        buffer_init(&who, 1024);
        assert_true(certificate_describe(certificate, &who));
        assert_memory_equal(who.data, "CN=example.org sha256:", 22);
        assert_int_equal(who.length, 22 + 64);
        buffer_fini(&who);
        certificate_free(certificate);
    }
}

/* A pair that belongs together is good for nothing where no client shakes hands with it. */
TEST(what_no_client_takes_is_found)
{
    static const struct {
        const char *kind;
        bool good;
    } pairs[] = {{"rsa", true},    {"ec", true},   {"p384", true},    {"ed25519", true},
                 {"short", false}, {"dsa", false}, {"bitcoin", false}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct pem pem = make_pair(pairs[i].kind, "example.org", -DAY, DAY);
        struct certificate *certificate = read_pair(&pem);
        struct error error = {0};
        if (tls_try(certificate, &error) != pairs[i].good)
            fail_msg("%s: %s", pairs[i].kind, error.message);
        assert_true(pairs[i].good || error.message[0]);
        certificate_free(certificate);
    }
}

TEST(the_shortest_time_of_the_chain_counts)
{
    struct pem own = make_pair("ec", "own", -2 * DAY, 30 * DAY);
    struct pem middle = make_pair("ec", "middle", -DAY, 3 * DAY);
    struct buffer chain;
    struct error error;
    buffer_init(&chain, 65536);
    buffer_add_string(&chain, own.certificate);
    buffer_add_string(&chain, middle.certificate);
    struct certificate *certificate = certificate_new(buffer_span(&chain), &error);
    assert_non_null(certificate);
    int64_t now = time(NULL);
    assert_in_range(certificate_validity(certificate).from, now - DAY - 60, now - DAY + 60);
    assert_in_range(certificate_validity(certificate).to, now + 3 * DAY - 60, now + 3 * DAY + 60);
    assert_true(certificate_add_key(certificate, span_of(own.key), &error));
    certificate_free(certificate);
    buffer_fini(&chain);
}

TEST(an_expired_one_is_read_and_says_so)
{
    struct pem pem = make_pair("ec", "old", -3 * DAY, -DAY);
    struct certificate *certificate = read_pair(&pem);
    assert_true(certificate_validity(certificate).to < time(NULL));
    certificate_free(certificate);
}

static void refuse(const char *certificate_pem, const char *key_pem, const char *expected)
{
    struct error error = {0};
    struct certificate *certificate = certificate_new(span_of(certificate_pem), &error);
    bool good =
        certificate && (!key_pem || certificate_add_key(certificate, span_of(key_pem), &error));
    assert_false(good);
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    if (!strstr(error.message, expected))
        fail_msg("\"%s\" does not say \"%s\"", error.message, expected);
    certificate_free(certificate);
}

TEST(says_what_is_wrong)
{
    struct pem pem = make_pair("ec", "a", -DAY, DAY), other = make_pair("ec", "b", -DAY, DAY);
    struct pem rsa = make_pair("rsa", "c", -DAY, DAY);
    char damaged[16384];
    refuse("", NULL, "holds no certificate");
    refuse(pem.key, NULL, "holds no certificate");
    refuse(pem.certificate, other.key, "is not the key of the certificate");
    refuse(pem.certificate, rsa.key, "is not the key of the certificate");
    refuse(pem.certificate, pem.certificate, "holds no private key");
    refuse(pem.certificate, "", "holds no private key");
    snprintf(damaged, sizeof damaged, "%s%.200s\n", pem.certificate, other.certificate);
    refuse(damaged, NULL, "damaged certificate behind the first");
    snprintf(damaged, sizeof damaged, "%s", pem.certificate);
    memset(strchr(damaged, '\n') + 10, 'A', 40);
    refuse(damaged, NULL, "holds no certificate");
}

TEST(a_locked_key_is_refused_without_asking)
{
    EVP_PKEY *key = make_key("ec");
    X509 *certificate = make_certificate(key, "ec", "locked", -DAY, DAY);
    struct pem pem;
    BIO *bytes = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bytes, certificate);
    drain(bytes, pem.certificate, sizeof pem.certificate);
    bytes = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bytes, key, EVP_aes_128_cbc(), NULL, 0, NULL, (void *)"secret");
    drain(bytes, pem.key, sizeof pem.key);
    refuse(pem.certificate, pem.key, "is locked with a passphrase");
    X509_free(certificate);
    EVP_PKEY_free(key);
}

TEST(too_long_a_chain_is_refused)
{
    struct pem pem = make_pair("ec", "a", -DAY, DAY);
    struct buffer chain;
    buffer_init(&chain, 65536);
    for (int i = 0; i < 18; i++)
        buffer_add_string(&chain, pem.certificate);
    refuse(buffer_string(&chain), NULL, "more than 16 certificates");
    buffer_fini(&chain);
}

TEST(survives_want_of_memory)
{
    struct pem pem = make_pair("ec", "a", -DAY, DAY);
    struct error error = {0};
    memory_fail_at(1, 0);
    assert_null(certificate_new(span_of(pem.certificate), &error));
    assert_true(memory_fault_hit());
    memory_fail_at(0, 0);
    assert_int_equal(error.code, ERROR_MEMORY);
}

/* ---- handshakes ---- */

struct peers {
    SSL *server, *client;
};

static struct peers connect_peers(SSL_CTX *server_side, SSL_CTX *client_side)
{
    struct peers peers = {SSL_new(server_side), SSL_new(client_side)};
    BIO *left, *right;
    assert_true(BIO_new_bio_pair(&left, 0, &right, 0));
    SSL_set_bio(peers.server, left, left);
    SSL_set_bio(peers.client, right, right);
    SSL_set_accept_state(peers.server);
    SSL_set_connect_state(peers.client);
    return peers;
}

/* Both, in turns, until neither gets on. */
static bool shake_hands(struct peers *peers)
{
    for (int i = 0; i < 20; i++) {
        SSL_do_handshake(peers->client);
        SSL_do_handshake(peers->server);
    }
    return SSL_is_init_finished(peers->client) && SSL_is_init_finished(peers->server);
}

static void expect_peer(struct peers *peers, const char *name)
{
    char shown[64] = "";
    X509 *certificate = SSL_get1_peer_certificate(peers->client);
    assert_non_null(certificate);
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, shown,
                              sizeof shown);
    assert_string_equal(shown, name);
    X509_free(certificate);
}

static void disconnect(struct peers *peers)
{
    SSL_free(peers->server);
    SSL_free(peers->client);
}

TEST(each_handshake_shows_what_is_in_force)
{
    const char *const kinds[] = {"rsa", "ec", "ed25519", "rsa"};
    struct certificate *shown = NULL;
    struct error error;
    SSL_CTX *server_side = SSL_CTX_new(TLS_server_method());
    SSL_CTX *client_side = SSL_CTX_new(TLS_client_method());
    assert_true(certificate_prepare(server_side, &shown, &error));
    struct peers first = {NULL, NULL};
    for (size_t i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "number%zu", i);
        struct pem pem = make_pair(kinds[i], name, -DAY, DAY);
        struct certificate *before = shown;
        shown = read_pair(&pem);
        certificate_free(before); /* connections that show it go on */
        struct peers peers = connect_peers(server_side, client_side);
        assert_true(shake_hands(&peers));
        expect_peer(&peers, name);
        if (i == 0)
            first = peers;
        else
            disconnect(&peers);
    }
    char text[8] = "";
    assert_int_equal(SSL_write(first.client, "hello", 5), 5);
    assert_int_equal(SSL_read(first.server, text, sizeof text), 5);
    assert_string_equal(text, "hello");
    disconnect(&first);
    SSL_CTX_free(server_side);
    SSL_CTX_free(client_side);
    certificate_free(shown);
}

static bool client_with(int least, int most, const char *ciphers)
{
    struct pem pem = make_pair("ec", "a", -DAY, DAY);
    struct certificate *shown = read_pair(&pem);
    struct error error;
    SSL_CTX *server_side = SSL_CTX_new(TLS_server_method());
    SSL_CTX *client_side = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(client_side, 0);
    SSL_CTX_set_min_proto_version(client_side, least);
    SSL_CTX_set_max_proto_version(client_side, most);
    assert_true(!ciphers || SSL_CTX_set_cipher_list(client_side, ciphers));
    assert_true(certificate_prepare(server_side, &shown, &error));
    struct peers peers = connect_peers(server_side, client_side);
    bool done = shake_hands(&peers);
    disconnect(&peers);
    SSL_CTX_free(server_side);
    SSL_CTX_free(client_side);
    certificate_free(shown);
    return done;
}

TEST(old_versions_and_weak_ciphers_are_refused)
{
    assert_true(client_with(TLS1_3_VERSION, TLS1_3_VERSION, NULL));
    assert_true(client_with(TLS1_2_VERSION, TLS1_2_VERSION, NULL));
    assert_true(client_with(TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305"));
    assert_false(client_with(TLS1_VERSION, TLS1_1_VERSION, NULL));
    assert_false(client_with(TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA"));
    assert_false(client_with(TLS1_2_VERSION, TLS1_2_VERSION, "AES128-GCM-SHA256"));
}

/* ---- streams ---- */

/* What either has for the other. */
static void exchange(struct tls_stream *server, SSL *client)
{
    struct span out = tls_stream_output(server);
    char *data;
    if (out.length)
        assert_int_equal(BIO_write(SSL_get_rbio(client), out.data, (int)out.length), out.length);
    tls_stream_sent(server);
    long length = BIO_get_mem_data(SSL_get_wbio(client), &data);
    assert_true(tls_stream_receive(server, span_make(data, (size_t)length)));
    (void)BIO_reset(SSL_get_wbio(client));
}

static void swap(struct tls_stream *server, SSL *client, char *bytes, size_t size)
{
    size_t done = 0, read = 0;
    struct error error;
    int64_t got;
    memset(bytes, 'a', size);
    assert_true(tls_stream_write(server, span_make(bytes, size)));
    assert_true(SSL_write_ex(client, bytes, size, &done));
    exchange(server, client);
    memset(bytes, 0, size);
    for (done = 0; done < size && SSL_read_ex(client, bytes + done, size - done, &read);)
        done += read;
    assert_int_equal(done, size);
    assert_true(bytes[0] == 'a' && !memcmp(bytes, bytes + 1, size - 1));
    for (done = 0; (got = tls_stream_read(server, bytes, size, &error)) > 0;)
        done += (size_t)got;
    assert_int_equal(got, 0);
    assert_int_equal(done, size);
}

static size_t used(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* The memory that an idle stream holds, after `size` bytes went either way. */
static size_t idle_stream(struct certificate *shown, size_t size)
{
    static char bytes[256 * 1024];
    struct error error;
    struct tls_context *context = tls_context_new(&shown, &error);
    SSL_CTX *client_side = SSL_CTX_new(TLS_client_method());
    size_t before = used();
    struct tls_stream *server = tls_stream_new(context);
    SSL *client = SSL_new(client_side);
    SSL_set_bio(client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(client);
    for (int i = 0; i < 5; i++) {
        SSL_do_handshake(client);
        exchange(server, client);
        assert_int_equal(tls_stream_read(server, bytes, sizeof bytes, &error), 0);
        exchange(server, client);
    }
    assert_true(tls_stream_is_ready(server));
    for (int i = 0; i < 3; i++)
        swap(server, client, bytes, size);
    SSL_free(client);
    size_t after = used();
    tls_stream_free(server);
    tls_context_free(context);
    SSL_CTX_free(client_side);
    return after - before;
}

TEST(a_stream_gives_memory_back)
{
    struct pem pem = make_pair("ec", "a", -DAY, DAY);
    struct certificate *shown = read_pair(&pem);
    idle_stream(shown, 100); /* what the library keeps for all is there now */
    size_t little = idle_stream(shown, 100), much = idle_stream(shown, 256 * 1024);
    assert_in_range(much, 0, little + 8 * 1024);
    certificate_free(shown);
}
