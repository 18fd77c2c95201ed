/* Linked into the guest that counts: what instrumented code needs, and where its counters are. */
#include <stdint.h>

int __llvm_profile_runtime;

#define SECTION(name) extern char __start___llvm_prf_##name, __stop___llvm_prf_##name
SECTION(data);
SECTION(cnts);
SECTION(names);
extern uint64_t __llvm_profile_raw_version;

#define ADDRESS(name) ((uint32_t)(uintptr_t)&(name))

__attribute__((export_name("profile_facts"))) const uint32_t *profile_facts(void) {
    static uint32_t facts[7];
    facts[0] = ADDRESS(__start___llvm_prf_data);
    facts[1] = ADDRESS(__stop___llvm_prf_data);
    facts[2] = ADDRESS(__start___llvm_prf_cnts);
    facts[3] = ADDRESS(__stop___llvm_prf_cnts);
    facts[4] = ADDRESS(__start___llvm_prf_names);
    facts[5] = ADDRESS(__stop___llvm_prf_names);
    facts[6] = ADDRESS(__llvm_profile_raw_version);
    return facts;
}
