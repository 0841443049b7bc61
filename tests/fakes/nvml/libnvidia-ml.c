/* A stand-in for NVIDIA's management library: its functions, answered from the script that script.h
 * describes. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include "script.h"

enum {
    OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15, UNKNOWN = 999
};
/* As nvml.h has them. */
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
typedef struct { unsigned gpu, memory; } nvmlUtilization_t;
typedef struct {
    unsigned pid; unsigned long long usedGpuMemory; unsigned gpuInstanceId, computeInstanceId;
} nvmlProcessInfo_t;
typedef struct {
    unsigned pid; unsigned long long timeStamp; unsigned smUtil, memUtil, encUtil, decUtil;
} nvmlProcessUtilizationSample_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int initialised, session, broken;
static char enumerated[CARDS][96];
static int enumerated_count, is_lost[CARDS];
static struct { char name[64]; int count; } calls[64];

static double monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static int is(const Rule *rule, const char *function) { return !strcmp(rule->function, function); }

/* Called by every function first: counts, hangs, fails; returns with the lock held. */
static int enter(const char *function) {
    double began = monotonic();
    int counted = 0;
    for (;;) {
        int hanging = 0;
        pthread_mutex_lock(&lock);
        look();
        for (int n = 0; n < 64 && !counted; n++)
            if (!calls[n].name[0] || !strcmp(calls[n].name, function)) {
                strncpy(calls[n].name, function, sizeof calls[n].name - 1);
                calls[n].count++;
                counted = 1;
            }
        for (int n = 0; n < world.hang_count; n++)
            if (is(&world.hangs[n], function))
                hanging = world.hangs[n].seconds < 0 || monotonic() - began < world.hangs[n].seconds;
        if (!hanging) break;
        pthread_mutex_unlock(&lock);
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    if (world.away) {
        broken = 1;
        return world.away;
    }
    for (int n = 0; n < world.fail_count; n++)
        if (is(&world.fails[n], function)) return world.fails[n].code;
    return OK;
}

static int leave(int code) {
    pthread_mutex_unlock(&lock);
    return code;
}

static int ready(const char *function) {
    int code = enter(function);
    if (code) return code;
    if (!initialised) return UNINITIALIZED;
    return broken ? UNKNOWN : OK;
}

/* A handle tells the session it is of, the card and, from 1, the MIG instance. */
static void *handle_of(int card, int instance) {
    return (void *)(uintptr_t)(((session * 64ULL + card) * 16 + instance) + 1);
}

static int card_of(const char *function, void *handle, Card **found, Instance **instance) {
    int code = ready(function);
    if (code) return code;
    uintptr_t value = (uintptr_t)handle - 1;
    int number = (int)(value % 16), card = (int)(value / 16 % 64), of = (int)(value / 16 / 64);
    if (handle == NULL || of != session || card >= enumerated_count) return INVALID_ARGUMENT;
    Card *there = NULL;
    for (int n = 0; n < world.card_count; n++)
        if (!strcmp(world.cards[n].uuid, enumerated[card])) there = &world.cards[n];
    if (there == NULL || there->lost) is_lost[card] = 1;
    if (is_lost[card]) return GPU_IS_LOST;
    for (int n = 0; n < there->failing_count; n++)
        if (is(&there->failing[n], function)) return there->failing[n].code;
    *found = there;
    if (instance) *instance = number ? &there->instances[number - 1] : NULL;
    return OK;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    int code = enter("nvmlInitWithFlags");
    if (code) return leave(code);
    if (!initialised++) {
        session++;
        broken = 0;
        memset(is_lost, 0, sizeof is_lost);
        enumerated_count = 0;
        for (int n = 0; n < world.card_count; n++)
            if (!world.cards[n].lost)
                snprintf(enumerated[enumerated_count++], sizeof *enumerated, "%s",
                         world.cards[n].uuid);
    }
    return leave(OK);
}

int nvmlShutdown(void) {
    int code = enter("nvmlShutdown");
    if (code && !world.away) return leave(code);
    if (!initialised) return leave(UNINITIALIZED);
    initialised--;
    return leave(OK);
}

const char *nvmlErrorString(int code) { (void)code; return "an error of the stand-in"; }

int nvmlSystemGetDriverVersion(char *text, unsigned length) {
    int code = ready("nvmlSystemGetDriverVersion");
    if (!code) snprintf(text, length, "%s", world.driver);
    return leave(code);
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    int code = ready("nvmlDeviceGetCount_v2");
    if (!code) *count = enumerated_count;
    return leave(code);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    int code = ready("nvmlDeviceGetHandleByIndex_v2");
    if (code) return leave(code);
    if ((int)index >= enumerated_count) return leave(INVALID_ARGUMENT);
    if (is_lost[index]) return leave(GPU_IS_LOST);
    *handle = handle_of(index, 0);
    return leave(OK);
}

static int text_of(const char *function, void *handle, char *text, unsigned length, int name) {
    Card *card;
    int code = card_of(function, handle, &card, NULL);
    if (!code) snprintf(text, length, "%s", name ? card->name : card->uuid);
    return leave(code);
}

int nvmlDeviceGetName(void *handle, char *text, unsigned length) {
    return text_of("nvmlDeviceGetName", handle, text, length, 1);
}

int nvmlDeviceGetUUID(void *handle, char *text, unsigned length) {
    return text_of("nvmlDeviceGetUUID", handle, text, length, 0);
}

int nvmlDeviceGetMemoryInfo(void *handle, nvmlMemory_t *memory) {
    Card *card;
    Instance *instance;
    int code = card_of("nvmlDeviceGetMemoryInfo", handle, &card, &instance);
    if (code) return leave(code);
    if (instance == NULL && !card->given[MEMORY]) return leave(NOT_SUPPORTED);
    memory->total = instance ? instance->total : card->figure[MEMORY][0];
    memory->used = instance ? instance->used : card->figure[MEMORY][1];
    memory->free = memory->total - memory->used;
    return leave(OK);
}

static int figure_of(const char *function, void *handle, int figure, int second, unsigned *value) {
    Card *card;
    int code = card_of(function, handle, &card, NULL);
    if (code) return leave(code);
    if (!card->given[figure]) return leave(NOT_SUPPORTED);
    *value = (unsigned)card->figure[figure][second];
    return leave(OK);
}

int nvmlDeviceGetUtilizationRates(void *handle, nvmlUtilization_t *rates) {
    rates->memory = 0;
    return figure_of("nvmlDeviceGetUtilizationRates", handle, UTILISATION, 0, &rates->gpu);
}

int nvmlDeviceGetEncoderUtilization(void *handle, unsigned *value, unsigned *period) {
    *period = 167000;
    return figure_of("nvmlDeviceGetEncoderUtilization", handle, ENCODER, 0, value);
}

int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *value) {
    (void)sensor;
    return figure_of("nvmlDeviceGetTemperature", handle, TEMPERATURE, 0, value);
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned *value) {
    return figure_of("nvmlDeviceGetPowerUsage", handle, POWER, 0, value);
}

int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *value) {
    return figure_of("nvmlDeviceGetEnforcedPowerLimit", handle, POWER, 1, value);
}

int nvmlDeviceGetClockInfo(void *handle, int type, unsigned *value) {
    return type == 1 ? figure_of("nvmlDeviceGetClockInfo", handle, CLOCK, 0, value)
                     : INVALID_ARGUMENT;
}

int nvmlDeviceGetMaxClockInfo(void *handle, int type, unsigned *value) {
    return type == 1 ? figure_of("nvmlDeviceGetMaxClockInfo", handle, CLOCK, 1, value)
                     : INVALID_ARGUMENT;
}

int nvmlDeviceGetMinorNumber(void *handle, unsigned *value) {
    return figure_of("nvmlDeviceGetMinorNumber", handle, MINOR, 0, value);
}

static int reasons(const char *function, void *handle, unsigned long long *value) {
    unsigned low = 0;
    int code = figure_of(function, handle, THROTTLE, 0, &low);
    *value = low;
    return code;
}

int nvmlDeviceGetCurrentClocksEventReasons(void *handle, unsigned long long *value) {
    return reasons("nvmlDeviceGetCurrentClocksEventReasons", handle, value);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *handle, unsigned long long *value) {
    return reasons("nvmlDeviceGetCurrentClocksThrottleReasons", handle, value);
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    int code = figure_of("nvmlDeviceGetMigMode", handle, MIG, 0, current);
    *pending = *current;
    return code;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) {
    Card *card;
    int code = card_of("nvmlDeviceGetMaxMigDeviceCount", handle, &card, NULL);
    if (!code) *count = 7;
    return leave(code);
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **instance) {
    Card *card;
    int code = card_of("nvmlDeviceGetMigDeviceHandleByIndex", handle, &card, NULL);
    if (code) return leave(code);
    if ((int)index >= card->instance_count) return leave(NOT_FOUND);
    *instance = (char *)handle + index + 1;
    return leave(OK);
}

static int listed(const char *function, void *handle, int graphics, unsigned *count,
                  nvmlProcessInfo_t *infos) {
    Card *card;
    Instance *instance;
    int code = card_of(function, handle, &card, &instance);
    if (code) return leave(code);
    int of = instance ? (int)(instance - card->instances) : -1;
    unsigned there = 0, room = *count;
    for (int n = 0; n < card->process_count; n++) {
        const Process *one = &card->processes[n];
        if (one->graphics != graphics || (instance && one->instance != of)) continue;
        if (infos && there < room)
            infos[there] = (nvmlProcessInfo_t){
                one->pid, one->memory, (unsigned)one->instance, (unsigned)one->instance};
        there++;
    }
    *count = there;
    return leave(there > room ? INSUFFICIENT_SIZE : OK);
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, nvmlProcessInfo_t *infos) {
    return listed("nvmlDeviceGetComputeRunningProcesses_v3", handle, 0, count, infos);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count,
                                             nvmlProcessInfo_t *infos) {
    return listed("nvmlDeviceGetGraphicsRunningProcesses_v3", handle, 1, count, infos);
}

int nvmlDeviceGetProcessUtilization(void *handle, nvmlProcessUtilizationSample_t *samples,
                                    unsigned *count, unsigned long long since) {
    Card *card;
    int code = card_of("nvmlDeviceGetProcessUtilization", handle, &card, NULL);
    if (code) return leave(code);
    if (card->given[MIG] && card->figure[MIG][0]) return leave(NOT_SUPPORTED);
    struct timeval now;
    gettimeofday(&now, NULL);
    long long present = now.tv_sec * 1000000LL + now.tv_usec;
    unsigned there = 0, room = *count;
    for (int n = 0; n < card->sample_count; n++) {
        const Sample *one = &card->samples[n];
        long long when = one->when <= 0 ? present + one->when : one->when;
        if (when <= (long long)since) continue;
        if (samples && there < room)
            samples[there] = (nvmlProcessUtilizationSample_t){
                one->pid, (unsigned long long)when, one->sm, 0, one->encoder, 0};
        there++;
    }
    *count = there;
    if (!there) return leave(NOT_FOUND);
    return leave(there > room || !samples ? INSUFFICIENT_SIZE : OK);
}

/* For tests: how often a function was called in this process. */
int fakeNvmlCalls(const char *function) {
    int count = 0;
    pthread_mutex_lock(&lock);
    for (int n = 0; n < 64; n++)
        if (!strcmp(calls[n].name, function)) count = calls[n].count;
    pthread_mutex_unlock(&lock);
    return count;
}
