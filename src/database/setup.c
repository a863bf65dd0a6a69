/*
 * SQLite's allocations go through base/memory, so that a test can make any of them fail.
 *
 * They also keep the reading of a schema linear. SQLite finds tables and views by name in a hash
 * table. It asks for 1,024 bytes for one of that kind at most, which are 64 chains, and takes as
 * many chains as the block that it gets has room for. With 30,000 SQL views each chain is hundreds
 * of names long, and every connection reads the whole schema. So a request of exactly that size
 * gets a larger block. A table that outgrew it asks for a new one of the same size, gives the old
 * one back at once, and asks how large the new one is: from then on, such requests of that thread
 * get twice as much. Other users of 1,024 bytes, such as a journal in memory, do not ask.
 */
#include "database/database_internal.h"

#include <pthread.h>

/* SQLite asks for the size of a block and memory_alloc cannot tell, so it is kept in front of the
 * block; 16 bytes keep the alignment of the whole. */
enum { HEADER = 16 };

enum { TABLE_ASKED = 1024, TABLE_FIRST = 16 << 10, TABLE_LARGEST = 64 << 20 };

static _Thread_local struct {
    int next;         /* what the next table gets; 0: TABLE_FIRST */
    const void *made; /* the last call made this table; NULL: it did something else */
    const void *grew; /* the last two calls made this table and gave back one of its size */
} tables;

static int read_size(const void *memory)
{
    int size;
    memcpy(&size, (const char *)memory - HEADER, sizeof size);
    return size;
}

static int size_of(void *memory)
{
    int size = memory ? read_size(memory) : 0;
    if (memory && memory == tables.grew && size < TABLE_LARGEST) {
        tables.next = 2 * size;
    }
    tables.made = tables.grew = NULL;
    return size;
}

static void *allocate(int size)
{
    bool is_table = size == TABLE_ASKED;
    tables.made = tables.grew = NULL;
    if (is_table) {
        size = tables.next ? tables.next : TABLE_FIRST;
    }
    char *block = memory_alloc((size_t)size + HEADER);
    if (!block) {
        return NULL;
    }
    memcpy(block, &size, sizeof size);
    tables.made = is_table ? block + HEADER : NULL;
    return block + HEADER;
}

static void release(void *memory)
{
    const void *made = memory != tables.made ? tables.made : NULL;
    tables.grew = made && read_size(memory) == read_size(made) ? made : NULL;
    tables.made = NULL;
    memory_free((char *)memory - HEADER);
}

static void *resize(void *memory, int size)
{
    tables.made = tables.grew = NULL;
    char *block = memory_resize((char *)memory - HEADER, (size_t)size + HEADER);
    if (!block) {
        return NULL;
    }
    memcpy(block, &size, sizeof size);
    return block + HEADER;
}

static int round_up(int size)
{
    return (size + 7) & ~7;
}

static int start(void *argument)
{
    (void)argument;
    return SQLITE_OK;
}

static void stop(void *argument)
{
    (void)argument;
}

static void configure(void)
{
    static const sqlite3_mem_methods methods = {allocate, release, resize, size_of,
                                                round_up, start,   stop,   NULL};
    /* These fail only when SQLite is already running in this process (a host program of the
     * library may use it too); then its own allocator stays, which is as good outside tests. */
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK) {
        log_debug("store", "sqlite-already-started");
        return;
    }
    /* One thread at a time uses a connection; without statistics there is no global lock in the
     * allocator either. */
    if (sqlite3_config(SQLITE_CONFIG_MULTITHREAD) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK) {
        log_debug("store", "sqlite-settings-refused");
    }
}

void database_setup(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure);
}
