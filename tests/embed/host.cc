// A host program in C++: the header is one for it too, every struct and initializer of it.
#include <stele/stele.h>

#include <cstdio>
#include <cstring>
#include <string>

static bool on_row(void *argument, const stele_row *row)
{
    *static_cast<std::string *>(argument) += std::string(row->key, row->key_length) + ' ';
    return true;
}

static void on_frame(void *, const char *, size_t) {}

int main(int argc, char **argv)
{
    stele_options options = STELE_OPTIONS_INIT;
    stele_query_options query = STELE_QUERY_INIT;
    stele_subscribe_options subscribe = STELE_SUBSCRIBE_INIT;
    stele_error error;
    stele_result result;
    stele_position position;
    std::string keys;
    const std::string line = "{\"export\":\"E\",\"key\":\"a\",\"patch\":{\"n\":1}}";
    if (argc < 2)
        return 1;
    options.database = argv[1];
    stele *store = stele_open(&options, &error);
    subscribe.view = query.view = "E/list";
    bool good = store && stele_apply(store, line.data(), line.size(), &result, &error) &&
                stele_subscribe(store, &subscribe, on_frame, nullptr, &error) &&
                stele_query_view(store, &query, on_row, &keys, &position, &error) &&
                keys == "a " && std::strcmp(position.seq, result.seq) == 0;
    if (!good)
        std::fprintf(stderr, "%s\n", stele_error_message(&error));
    stele_close(store);
    return good ? 0 : 1;
}
