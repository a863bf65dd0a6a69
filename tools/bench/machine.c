#include "bench/machine.h"
#include "bench/process.h"

#include <stdio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { VERSION_SECONDS = 10 };

static void read_processor(struct machine *machine)
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(machine->processor, MACHINE_TEXT, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", 10) != 0)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(machine->processor, MACHINE_TEXT, "%.*s", MACHINE_TEXT - 1, colon + 2);
        break;
    }
    if (file)
        fclose(file);
}

/* The file system matters most: a commit is as quick as its sync. */
static void read_filesystem(struct machine *machine, const char *folder)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } known[] = {
        {0xef53, "ext4"},
        {0x58465342, "xfs"},
        {0x9123683e, "btrfs"},
        {0x794c7630, "overlayfs"},
        {0x2fc12fc1, "zfs"},
        {0xf2f52010, "f2fs"},
        {0x01021994, "tmpfs (in memory: nothing is durable there)"},
    };
    struct statfs facts;
    if (statfs(folder, &facts) < 0) {
        snprintf(machine->filesystem, MACHINE_TEXT, "unknown");
        return;
    }
    unsigned long magic = (unsigned long)facts.f_type & 0xffffffff;
    snprintf(machine->filesystem, MACHINE_TEXT, "type %#lx", magic);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].magic == magic)
            snprintf(machine->filesystem, MACHINE_TEXT, "%s", known[i].name);
}

static void add_line(struct machine *machine, struct span line)
{
    size_t used = strlen(machine->server);
    snprintf(machine->server + used, MACHINE_TEXT - used, "%s%.*s", used ? ", " : "",
             (int)line.length, line.data);
}

static void read_version(struct machine *machine, const char *program)
{
    char *arguments[] = {(char *)program, (char *)"version", NULL};
    struct error error;
    struct buffer line;
    pid_t process;
    int output, status;
    if (!process_start(arguments, -1, &process, &output, &error))
        return;
    bool more = true;
    while (more && process_read_line(output, VERSION_SECONDS, &line, &error)) {
        more = line.length > 0;
        if (more)
            add_line(machine, buffer_span(&line));
        buffer_fini(&line);
    }
    close(output);
    if (!process_wait(process, VERSION_SECONDS, &status))
        process_kill(process);
}

void machine_read(struct machine *machine, const char *program, const char *folder)
{
    struct utsname name;
    *machine = (struct machine){.cores = sysconf(_SC_NPROCESSORS_ONLN)};
    machine->memory_bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    read_processor(machine);
    if (uname(&name) == 0)
        snprintf(machine->kernel, MACHINE_TEXT, "%.64s %.64s %.20s", name.sysname, name.release,
                 name.machine);
    read_filesystem(machine, folder);
    read_version(machine, program);
}
