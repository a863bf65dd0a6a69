/*
 * A file system for tests: a layer on SQLite's own that asks before it writes, cuts or syncs a
 * file. Put in before the first database is opened.
 */
#ifndef DATABASE_LAYER_H
#define DATABASE_LAYER_H

#include "database/database_internal.h"

/* Each gets the file's name and answers SQLITE_OK to go on, or the error to fail with; NULL: go on.
 */
static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *below;
    int (*on_write)(const char *name, const void *data, int size, sqlite3_int64 offset);
    int (*on_truncate)(const char *name, sqlite3_int64 size);
    int (*on_sync)(const char *name);
} layer;

struct layer_file {
    sqlite3_file base;
    const char *name;
};

/* The file below lies behind our own head, in the same block. */
static sqlite3_file *file_below(sqlite3_file *file)
{
    return (sqlite3_file *)((struct layer_file *)file + 1);
}

static const char *name_of(const sqlite3_file *file)
{
    return ((const struct layer_file *)file)->name;
}

static int layer_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    sqlite3_file *below = file_below(file);
    int result = layer.on_write ? layer.on_write(name_of(file), data, size, offset) : SQLITE_OK;
    return result == SQLITE_OK ? below->pMethods->xWrite(below, data, size, offset) : result;
}

static int layer_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_file *below = file_below(file);
    int result = layer.on_truncate ? layer.on_truncate(name_of(file), size) : SQLITE_OK;
    return result == SQLITE_OK ? below->pMethods->xTruncate(below, size) : result;
}

/* No test cuts the power for real, and thousands of syncs wait long on a disk that others use. */
static int layer_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    return layer.on_sync ? layer.on_sync(name_of(file)) : SQLITE_OK;
}

#define PASS(name, parameters, ...)                                                                \
    static int layer_##name parameters                                                             \
    {                                                                                              \
        sqlite3_file *below = file_below(file);                                                    \
        return below->pMethods->name(below, __VA_ARGS__);                                          \
    }
PASS(xRead, (sqlite3_file * file, void *data, int size, sqlite3_int64 offset), data, size, offset)
PASS(xFileSize, (sqlite3_file * file, sqlite3_int64 *size), size)
PASS(xLock, (sqlite3_file * file, int kind), kind)
PASS(xUnlock, (sqlite3_file * file, int kind), kind)
PASS(xCheckReservedLock, (sqlite3_file * file, int *result), result)
PASS(xFileControl, (sqlite3_file * file, int what, void *argument), what, argument)
PASS(xShmMap, (sqlite3_file * file, int page, int size, int extend, void volatile **map), page,
     size, extend, map)
PASS(xShmLock, (sqlite3_file * file, int offset, int count, int flags), offset, count, flags)
PASS(xShmUnmap, (sqlite3_file * file, int remove), remove)

#undef PASS

static int layer_sector_size(sqlite3_file *file)
{
    sqlite3_file *below = file_below(file);
    return below->pMethods->xSectorSize(below);
}

static int layer_characteristics(sqlite3_file *file)
{
    sqlite3_file *below = file_below(file);
    return below->pMethods->xDeviceCharacteristics(below);
}

static void layer_barrier(sqlite3_file *file)
{
    sqlite3_file *below = file_below(file);
    below->pMethods->xShmBarrier(below);
}

static int layer_close(sqlite3_file *file)
{
    sqlite3_file *below = file_below(file);
    return below->pMethods ? below->pMethods->xClose(below) : SQLITE_OK;
}

static int layer_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = layer_close,
        .xRead = layer_xRead,
        .xWrite = layer_write,
        .xTruncate = layer_truncate,
        .xSync = layer_sync,
        .xFileSize = layer_xFileSize,
        .xLock = layer_xLock,
        .xUnlock = layer_xUnlock,
        .xCheckReservedLock = layer_xCheckReservedLock,
        .xFileControl = layer_xFileControl,
        .xSectorSize = layer_sector_size,
        .xDeviceCharacteristics = layer_characteristics,
        .xShmMap = layer_xShmMap,
        .xShmLock = layer_xShmLock,
        .xShmBarrier = layer_barrier,
        .xShmUnmap = layer_xShmUnmap,
    };
    (void)vfs;
    file->pMethods = &methods;
    ((struct layer_file *)file)->name = name;
    memset(file_below(file), 0, (size_t)layer.below->szOsFile);
    return layer.below->xOpen(layer.below, name, file_below(file), flags, out);
}

/* Make it the file system of this process. Call it before the first store is opened. */
static inline int layer_put_in(const char *name)
{
    database_setup();
    layer.below = sqlite3_vfs_find(NULL);
    layer.vfs = *layer.below;
    layer.vfs.zName = name;
    layer.vfs.szOsFile = (int)sizeof(struct layer_file) + layer.below->szOsFile;
    layer.vfs.xOpen = layer_open;
    return sqlite3_vfs_register(&layer.vfs, 1);
}

#endif
