/* What the program loads while it runs: code, data, a thread-local variable, and what is run when it comes and goes. */
#include <stdio.h>

int shared_counter = 40;
static _Thread_local int own_counter = 5;
extern int ask_program(int);

__attribute__((constructor)) static void come(void) { puts("plugin: loaded"); }
__attribute__((destructor)) static void go(void) { puts("plugin: unloaded"); }

int plugin_add(int n) { return ask_program(n) + ++shared_counter; }
int plugin_own(void) { return ++own_counter; }
