/* Saving by path: the target is the old file or the new one, whole, whatever happens on the way. */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "file_support.h"

static linfdist_context *context;
static linfdist_model *models[2];
static char folder[64], path[128];

static int setup(void **state) {
    (void)state;
    assert_int_equal(linfdist_context_create(NULL, &context), LINFDIST_OK);
    models[0] = small_model(context, 1);
    models[1] = small_model(context, 2);
    make_folder(folder);
    sprintf(path, "%s/m.safetensors", folder);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    remove_folder(folder);
    linfdist_model_destroy(models[0]);
    linfdist_model_destroy(models[1]);
    linfdist_context_destroy(context);
    return 0;
}

static void assert_holds(const char *file, int which) {
    bytes on_disk = {0}, expected = {0};
    read_path(file, &on_disk);
    save_bytes(models[which], &expected);
    assert_int_equal(on_disk.size, expected.size);
    assert_memory_equal(on_disk.data, expected.data, expected.size);
    bytes_free(&on_disk);
    bytes_free(&expected);
}

static mode_t mode_of(const char *file) {
    struct stat info;
    assert_int_equal(stat(file, &info), 0);
    return info.st_mode & 0777;
}

static void test_permissions(void **state) {
    (void)state;
    mode_t old_mask = umask(027);
    assert_int_equal(linfdist_model_save(models[0], path), LINFDIST_OK);
    assert_int_equal(mode_of(path), 0640);
    assert_int_equal(chmod(path, 0606), 0);
    assert_int_equal(linfdist_model_save(models[1], path), LINFDIST_OK);
    assert_int_equal(mode_of(path), 0606);
    umask(old_mask);
    assert_holds(path, 1);
    assert_int_equal(count_files(folder), 1);
}

/* The group stays with the permissions that were given to it. */
static void test_group(void **state) {
    struct stat info;
    (void)state;
    if (getuid() != 0) skip(); /* others may have no second group */
    assert_int_equal(linfdist_model_save(models[0], path), LINFDIST_OK);
    assert_int_equal(chown(path, (uid_t)-1, 1), 0);
    assert_int_equal(chmod(path, 0660), 0);
    assert_int_equal(linfdist_model_save(models[1], path), LINFDIST_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_gid, 1);
    assert_int_equal(info.st_mode & 0777, 0660);
}

static void test_relative_path(void **state) {
    (void)state;
    char before[512];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(linfdist_model_save(models[1], "m.safetensors"), LINFDIST_OK);
    assert_int_equal(linfdist_model_save(models[0], "./m.safetensors"), LINFDIST_OK);
    assert_int_equal(chdir(before), 0);
    assert_holds(path, 0);
    assert_int_equal(count_files(folder), 1);
}

/* A link such as latest.safetensors stays a link. */
static void test_symbolic_link(void **state) {
    (void)state;
    char link[128];
    struct stat info;
    sprintf(link, "%s/latest", folder);
    assert_int_equal(linfdist_model_save(models[0], path), LINFDIST_OK);
    assert_int_equal(symlink("m.safetensors", link), 0);
    assert_int_equal(linfdist_model_save(models[1], link), LINFDIST_OK);
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_holds(path, 1);
}

/* Renaming over a link to nothing would replace the link. */
static void test_dangling_link(void **state) {
    (void)state;
    char link[128];
    struct stat info;
    sprintf(link, "%s/latest", folder);
    assert_int_equal(symlink("nothing.safetensors", link), 0);
    assert_int_equal(linfdist_model_save(models[0], link), LINFDIST_ERROR_IO);
    assert_non_null(strstr(linfdist_last_error(), "symbolic link to nothing"));
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(count_files(folder), 1);
}

/* The longest name a folder takes: the temporary file's must fit too. */
static void test_longest_name(void **state) {
    (void)state;
    char name[256], file[400];
    memset(name, 'x', 255);
    name[255] = '\0';
    sprintf(file, "%s/%s", folder, name);
    assert_int_equal(linfdist_model_save(models[0], file), LINFDIST_OK);
    assert_holds(file, 0);
}

/* Names that a killed process with our number may have left do not stop a save. */
static void test_left_over_temporary(void **state) {
    (void)state;
    char stale[128];
    for (int i = 0; i < 3; ++i) {
        sprintf(stale, "%s/.linfdist-%ld-%d.tmp", folder, (long)getpid(), i);
        FILE *file = fopen(stale, "w");
        assert_non_null(file);
        fclose(file);
    }
    assert_int_equal(linfdist_model_save(models[0], path), LINFDIST_OK);
    assert_holds(path, 0);
    assert_int_equal(count_files(folder), 4);
}

static void expect_io(const char *target, const char *message) {
    linfdist_model *loaded = NULL;
    assert_int_equal(linfdist_model_save(models[0], target), LINFDIST_ERROR_IO);
    if (!strstr(linfdist_last_error(), message)) fail_msg("\"%s\" lacks \"%s\"", linfdist_last_error(), message);
    assert_non_null(strstr(linfdist_last_error(), target));
    assert_int_equal(linfdist_model_load(context, target, &loaded), LINFDIST_ERROR_IO);
    assert_non_null(strstr(linfdist_last_error(), target));
    assert_null(loaded);
}

static void test_bad_paths(void **state) {
    (void)state;
    static const char *const devices[] = {"/dev/null", "/dev/full", "/dev/zero"};
    struct stat info;
    char missing[192];
    sprintf(missing, "%s/none/m.safetensors", folder);
    expect_io(missing, "No such file or directory");
    expect_io(folder, "not a regular file");
    for (size_t i = 0; i < 3; ++i) {
        if (stat(devices[i], &info) != 0) continue;
        expect_io(devices[i], "not a regular file");
        assert_int_equal(stat(devices[i], &info), 0);
        assert_true(S_ISCHR(info.st_mode));
    }
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_io(path, "not a regular file");
    assert_int_equal(linfdist_model_save(models[0], ""), LINFDIST_ERROR_INVALID_ARGUMENT);
    assert_int_equal(count_files(folder), 1);
}

static void test_path_too_long(void **state) {
    (void)state;
    char *endless = malloc(9000);
    assert_non_null(endless);
    memset(endless, '/', 8999);
    memset(endless + 2, 'y', 8000);
    endless[8999] = '\0';
    linfdist_model *loaded = NULL;
    assert_int_equal(linfdist_model_save(models[0], endless), LINFDIST_ERROR_IO);
    assert_int_equal(linfdist_model_load(context, endless, &loaded), LINFDIST_ERROR_IO);
    free(endless);
}

/* ---- in a child process ---- */

/* Runs body in a child, which reports through its exit status: assertions there would not reach this process. */
static void expect_child(int (*body)(void)) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(body());
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Every size limit from nothing to almost the whole file: the write is short, then fails. */
static int save_with_full_disk(void) {
    bytes whole = {0};
    struct rlimit limit;
    save_bytes(models[1], &whole);
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || getrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    for (size_t size = 0; size < whole.size; size += 13) {
        limit.rlim_cur = size;
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
        if (linfdist_model_save(models[1], path) != LINFDIST_ERROR_IO) return 3;
        if (!strstr(linfdist_last_error(), "File too large")) return 4;
    }
    limit.rlim_cur = whole.size;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 5;
    char enough[160];
    sprintf(enough, "%s.enough", path);
    return linfdist_model_save(models[1], enough) == LINFDIST_OK ? 0 : 6;
}

static void test_full_disk(void **state) {
    (void)state;
    char enough[160];
    assert_int_equal(linfdist_model_save(models[0], path), LINFDIST_OK);
    expect_child(save_with_full_disk);
    assert_holds(path, 0);
    sprintf(enough, "%s.enough", path);
    assert_holds(enough, 1);
    assert_int_equal(count_files(folder), 2);
}

/* As somebody who may not write there; root may everywhere. */
static int save_without_permission(void) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return 1;
    if (linfdist_model_save(models[1], path) != LINFDIST_ERROR_IO) return 2;
    return strstr(linfdist_last_error(), "Permission denied") ? 0 : 3;
}

static void test_no_permission(void **state) {
    (void)state;
    assert_int_equal(linfdist_model_save(models[0], path), LINFDIST_OK);
    assert_int_equal(chmod(path, 0444), 0); /* a file that wants to be kept, in a folder that takes any */
    assert_int_equal(chmod(folder, 0777), 0);
    expect_child(save_without_permission);
    assert_int_equal(chmod(path, 0666), 0); /* a file that may change, in a folder that may not */
    assert_int_equal(chmod(folder, 0555), 0);
    expect_child(save_without_permission);
    assert_int_equal(unlink(path) == 0 || errno == EACCES, 1);
    expect_child(save_without_permission); /* a new file there */
    assert_int_equal(chmod(folder, 0755), 0);
    assert_true(count_files(folder) <= 1);
}

/* Says so when the first is saved. */
static int save_for_ever(int first, int ready) {
    if (linfdist_model_save(models[first], path) != LINFDIST_OK || write(ready, "", 1) != 1) return 1;
    for (int i = !first;; i = !i) {
        if (linfdist_model_save(models[i], path) != LINFDIST_OK) return 2;
    }
}

/* A child that saves both models in turn, killed after so many nanoseconds of it. */
static void save_and_kill(int first, long nanoseconds) {
    int ready[2], status = 0;
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(save_for_ever(first, ready[1]));
    close(ready[1]); /* so that a child that fails ends the wait */
    assert_int_equal(read(ready[0], &byte, 1), 1);
    nanosleep(&(struct timespec){.tv_nsec = nanoseconds}, NULL);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(ready[0]);
}

/* Killed at any moment, the file is one of the two models, whole. */
static void test_kill(void **state) {
    (void)state;
    uint32_t random = 12345;
    int seen[2] = {0, 0};
    assert_int_equal(linfdist_model_save(models[0], path), LINFDIST_OK);
    for (int round = 0; round < 60; ++round) {
        random = random * 1664525u + 1013904223u;
        save_and_kill(round % 2, (long)(random >> 8) % 6000000);
        linfdist_model *loaded = NULL;
        assert_int_equal(linfdist_model_load(context, path, &loaded), LINFDIST_OK);
        bytes got = {0}, first = {0};
        save_bytes(loaded, &got);
        save_bytes(models[0], &first);
        int which = got.size != first.size || memcmp(got.data, first.data, got.size) != 0;
        assert_holds(path, which);
        seen[which] = 1;
        linfdist_model_destroy(loaded);
        bytes_free(&got);
        bytes_free(&first);
    }
    assert_true(seen[0] && seen[1]); /* the children did save */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_permissions),   TEST(test_group),        TEST(test_relative_path),       TEST(test_symbolic_link),
        TEST(test_dangling_link), TEST(test_longest_name), TEST(test_left_over_temporary), TEST(test_bad_paths),
        TEST(test_path_too_long), TEST(test_full_disk),    TEST(test_no_permission),       TEST(test_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
