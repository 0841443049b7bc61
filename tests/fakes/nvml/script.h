/* The script that the stand-in for NVIDIA's management library answers from.
 *
 * The script is the text file that WHISPERCTL_FAKE_NVML names. It is looked at again at each call,
 * so that a test can change the world while a reader runs; replace it atomically. One directive a
 * line, '#' begins a comment. A figure that is not given is "not supported".
 *
 *   driver 560.35.03
 *   away 9                     the driver is gone: every call returns this code, and what was
 *                              initialised before it came back stays useless
 *   fail nvmlFunction 4        this function returns this code
 *   hang nvmlFunction          this function does not return as long as this line stands
 *   hang nvmlFunction 2.5      ... or for so many seconds
 *   card GPU-uuid Name of it   begins a card; the order is the enumeration at initialisation
 *     memory TOTAL USED        bytes; likewise: power NOW LIMIT (mW), clock NOW MAX (MHz),
 *     utilisation GPU          per cent; likewise: encoder, temperature (degrees), throttle (bits),
 *                              minor, mig (0 or 1)
 *     compute PID BYTES [I]    a process, in MIG instance I; BYTES - is "not available"
 *     graphics PID BYTES [I]
 *     sample PID WHEN SM ENC   utilisation; WHEN in microseconds, from 0 down before now
 *     instance TOTAL USED      the card's next MIG instance
 *     failing nvmlFunction 4   the same as fail, for this card
 *     lost                     from now on until all is initialised anew
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CARDS = 16, ROWS = 128, RULES = 32, FIGURES = 12 };
enum { MEMORY, POWER, CLOCK, UTILISATION, ENCODER, TEMPERATURE, THROTTLE, MINOR, MIG };
static const char *const FIGURE[] = {
    "memory", "power", "clock", "utilisation", "encoder", "temperature", "throttle", "minor", "mig"
};

typedef struct { char function[64]; int code; double seconds; } Rule;
typedef struct { int graphics; unsigned pid; unsigned long long memory; int instance; } Process;
typedef struct { unsigned pid; long long when; unsigned sm, encoder; } Sample;
typedef struct { unsigned long long total, used; } Instance;
typedef struct {
    char uuid[96], name[96];
    int given[FIGURES];
    unsigned long long figure[FIGURES][2];
    Process processes[ROWS]; int process_count;
    Sample samples[ROWS]; int sample_count;
    Instance instances[8]; int instance_count;
    Rule failing[RULES]; int failing_count;
    int lost;
} Card;
typedef struct {
    char driver[80];
    int away;
    Rule fails[RULES]; int fail_count;
    Rule hangs[RULES]; int hang_count;
    Card cards[CARDS]; int card_count;
} World;

static World world;
static struct stat seen;

static void parse(FILE *file) {
    char line[512], word[64];
    Card *card = NULL;
    memset(&world, 0, sizeof world);
    while (fgets(line, sizeof line, file)) {
        int at = 0;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%63s%n", word, &at) != 1 || word[0] == '#') continue;
        const char *rest = line + at + strspn(line + at, " ");
        Rule rule = {"", 0, -1};
        if (!strcmp(word, "driver")) snprintf(world.driver, sizeof world.driver, "%.79s", rest);
        else if (!strcmp(word, "away")) world.away = atoi(rest);
        else if (!strcmp(word, "fail") && world.fail_count < RULES) {
            sscanf(rest, "%63s %d", rule.function, &rule.code);
            world.fails[world.fail_count++] = rule;
        } else if (!strcmp(word, "hang") && world.hang_count < RULES) {
            sscanf(rest, "%63s %lf", rule.function, &rule.seconds);
            world.hangs[world.hang_count++] = rule;
        } else if (!strcmp(word, "card") && world.card_count < CARDS) {
            card = &world.cards[world.card_count++];
            sscanf(rest, "%95s %95[^\n]", card->uuid, card->name);
        } else if (card == NULL) fprintf(stderr, "fake NVML: what is '%s'?\n", line);
        else if (!strcmp(word, "lost")) card->lost = 1;
        else if (!strcmp(word, "failing") && card->failing_count < RULES) {
            sscanf(rest, "%63s %d", rule.function, &rule.code);
            card->failing[card->failing_count++] = rule;
        } else if (!strcmp(word, "instance") && card->instance_count < 8) {
            Instance *one = &card->instances[card->instance_count++];
            sscanf(rest, "%llu %llu", &one->total, &one->used);
        } else if (!strcmp(word, "sample") && card->sample_count < ROWS) {
            Sample *one = &card->samples[card->sample_count++];
            sscanf(rest, "%u %lld %u %u", &one->pid, &one->when, &one->sm, &one->encoder);
        } else if ((!strcmp(word, "compute") || !strcmp(word, "graphics"))
                   && card->process_count < ROWS) {
            Process *one = &card->processes[card->process_count++];
            char memory[32] = "-";
            one->graphics = word[0] == 'g';
            one->instance = -1;
            sscanf(rest, "%u %31s %d", &one->pid, memory, &one->instance);
            one->memory = memory[0] == '-' ? ~0ULL : strtoull(memory, NULL, 10);
        } else {
            size_t which = 0;
            while (which < sizeof FIGURE / sizeof *FIGURE && strcmp(word, FIGURE[which])) which++;
            if (which == sizeof FIGURE / sizeof *FIGURE) {
                fprintf(stderr, "fake NVML: what is '%s'?\n", line);
                continue;
            }
            card->given[which] = 1;
            sscanf(rest, "%llu %llu", &card->figure[which][0], &card->figure[which][1]);
        }
    }
}

static void look(void) {
    struct stat now;
    const char *path = getenv("WHISPERCTL_FAKE_NVML");
    if (path == NULL || stat(path, &now) != 0) {
        memset(&world, 0, sizeof world);
        memset(&seen, 0, sizeof seen);
        world.away = 9;
        return;
    }
    if (now.st_ino == seen.st_ino && now.st_size == seen.st_size
        && now.st_mtim.tv_sec == seen.st_mtim.tv_sec
        && now.st_mtim.tv_nsec == seen.st_mtim.tv_nsec) return;
    FILE *file = fopen(path, "r");
    if (file == NULL) return;
    parse(file);
    fclose(file);
    seen = now;
}
