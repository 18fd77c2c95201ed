/* Which locales there are: C, and C in UTF-8. musl takes any name for one of these, so that a program cannot know that
 * its numbers will have no separators. Both functions belong to one file of musl's, and so take its place as a whole. */
#include <locale.h>
#include <string.h>

struct __locale_map;
extern const struct __locale_map __c_dot_utf8;
const struct __locale_map *__get_locale(int category, const char *name);
const char *__lctrans_impl(const char *message, const struct __locale_map *locale);

/* NULL is the C locale, -1 says that there is no such locale. Only for LC_CTYPE are the two different. */
const struct __locale_map *__get_locale(int category, const char *name) {
    static const char *const names[] = {"C", "POSIX", "", "C.UTF-8", "C.utf8"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return category == LC_CTYPE && i >= 2 ? &__c_dot_utf8 : NULL;
    return (const struct __locale_map *)-1;
}

/* There are no translations. */
const char *__lctrans_impl(const char *message, const struct __locale_map *locale) {
    (void)locale;
    return message;
}
