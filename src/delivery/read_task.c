/* Reads for one subscription: their way to a reader and back. */
#include "delivery/read_task.h"

static void run(struct read_job *read, struct store_reader *reader)
{
    struct read_task *task = (struct read_task *)read;
    if (!atomic_load(&task->forgotten))
        task->done = task->run(task, reader);
}

static bool is_too_much(struct error *error)
{
    return error_set(error, ERROR_QUEUE_FULL,
                     "too many are catching up at once, or memory is short; subscribe again later");
}

static bool hand_over(struct read_task *task, bool again)
{
    task->read.owner = task->subscription->subscriber->owner;
    task->read.is_long = again;
    task->done = task->returned = false;
    return engine_read(task->subscription->topic->hub->engine, &task->read);
}

static void arrived(struct engine_event *event)
{
    struct read_task *task = (struct read_task *)event;
    struct subscription *subscription = task->subscription;
    if (!subscription) {
        task->dropped(task);
        return;
    }
    INVARIANT(subscription->task == task && !task->returned);
    if (task->done && task->again && task->again(task)) {
        if (hand_over(task, true))
            return;
        task->done = is_too_much(&task->error);
    } else if (!task->done) {
        log_error("hub", "read-failed", log_text("for", task->what),
                  log_text("view", subscription->topic->view->id),
                  log_text("error", task->error.message));
    }
    task->returned = true;
    subscriber_ready(subscription);
}

bool read_task_start(struct subscription *subscription, struct read_task *task)
{
    INVARIANT(!subscription->task);
    task->read.event.deliver = arrived;
    task->read.run = run;
    task->subscription = subscription;
    subscription->task = task;
    if (hand_over(task, false))
        return true;
    subscription->task = NULL;
    task->dropped(task);
    return false;
}

struct reader_step read_task_refused(struct subscription *subscription)
{
    struct error error;
    is_too_much(&error);
    return reader_failed(subscription, &error);
}

struct read_task *read_task_take(struct subscription *subscription)
{
    struct read_task *task = subscription->task;
    if (!task || !task->returned)
        return NULL;
    INVARIANT(task->subscription == subscription);
    subscription->task = NULL;
    task->subscription = NULL;
    return task;
}

void read_task_forget(struct subscription *subscription)
{
    struct read_task *task = subscription->task;
    if (!task)
        return;
    bool returned = task->returned;
    subscription->task = NULL;
    task->subscription = NULL;
    if (returned)
        task->dropped(task);
    else
        atomic_store(&task->forgotten, true);
}
