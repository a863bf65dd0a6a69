/*
 * base: the helpers that every other folder uses; this header includes most of them. base depends
 * on libc and threads, on no other folder and on no third-party library.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include "base/buffer.h"
#include "base/clock.h"
#include "base/clock_watch.h"
#include "base/error.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/invariant.h"
#include "base/link.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/metric.h"
#include "base/queue.h"
#include "base/seq.h"
#include "base/span.h"
#include "base/text.h"
#include "base/typed.h"

#endif
