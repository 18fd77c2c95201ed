/* wcsftime(), which is CPython's strftime(): as in glibc's C locale, with its flags, widths and further letters, because
 * that is what programs are written for. musl's returns an empty text for a letter that it does not know. */
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

static const wchar_t *const days[] = {L"Sunday", L"Monday", L"Tuesday", L"Wednesday", L"Thursday", L"Friday", L"Saturday"};
static const wchar_t *const months[] = {L"January", L"February", L"March",     L"April",   L"May",      L"June",
                                        L"July",    L"August",   L"September", L"October", L"November", L"December"};

typedef struct {
    wchar_t *text;
    size_t length, room;
    bool full;
} Output;

/* One directive: %[flags][width][E or O]letter. */
typedef struct {
    const wchar_t *start, *end;
    wchar_t pad;           /* '_', '-', '0', or 0 */
    bool upper, swap_case; /* the flags ^ and # */
    int width;             /* -1: none */
    wchar_t modifier, letter;
} Directive;

static void put(Output *out, wchar_t c) {
    if (out->length + 1 < out->room) out->text[out->length++] = c;
    else out->full = true;
}

static void put_many(Output *out, wchar_t c, int count) {
    for (; count > 0 && !out->full; count--) put(out, c);
}

static void put_text(Output *out, const Directive *d, const wchar_t *text, size_t n, bool upper, bool lower) {
    put_many(out, d->pad == L'0' ? L'0' : L' ', d->width - (int)n);
    for (; n; n--, text++) put(out, upper ? (wchar_t)towupper((wint_t)*text) : lower ? (wchar_t)towlower((wint_t)*text) : *text);
}

static void put_name(Output *out, const Directive *d, const wchar_t *name, size_t n) {
    put_text(out, d, name, n < wcslen(name) ? n : wcslen(name), d->upper || d->swap_case, false);
}

static void put_number(Output *out, const Directive *d, int digits, long long value) {
    wchar_t text[24], *at = text + 24;
    bool negative = value < 0;
    unsigned long long rest = negative ? 0 - (unsigned long long)value : (unsigned long long)value;
    do *--at = (wchar_t)(L'0' + rest % 10);
    while (rest /= 10);
    bool spaced = d->pad == L'_' || d->pad == L'-';
    if (d->pad == L'-') digits = 0;
    int padding = (digits > d->width ? digits : d->width) - (int)(text + 24 - at) - negative;
    if (spaced) put_many(out, L' ', padding);
    if (negative) put(out, L'-');
    if (!spaced) put_many(out, L'0', padding);
    while (at < text + 24) put(out, *at++);
}

static void put_spaced(Output *out, Directive d, int digits, long long value) {
    if (!d.pad) d.pad = L'_';
    put_number(out, &d, digits, value);
}

static void put_verbatim(Output *out, const Directive *d) {
    put_text(out, d, d->start, (size_t)(d->end - d->start), d->upper, false);
}

/* What another format makes, padded and in upper case as the directive wants it. */
static void put_format(Output *out, const Directive *d, const wchar_t *format, const struct tm *at) {
    wchar_t text[128];
    put_text(out, d, text, wcsftime(text, sizeof text / sizeof *text, format, at), d->upper, false);
}

static void put_zone(Output *out, const Directive *d, const struct tm *at) {
    wchar_t name[64];
    size_t n = 0;
    for (const char *c = at->tm_zone ? at->tm_zone : ""; *c && n < 64; c++) name[n++] = (wchar_t)(unsigned char)*c;
    put_text(out, d, name, n, d->upper && !d->swap_case, d->swap_case);
}

static void put_offset(Output *out, const Directive *d, const struct tm *at) {
    if (at->tm_isdst < 0) return;
    long minutes = at->tm_gmtoff / 60;
    put_text(out, d, at->tm_gmtoff < 0 ? L"-" : L"+", 1, false, false);
    if (minutes < 0) minutes = -minutes;
    put_number(out, d, 4, minutes / 60 * 100 + minutes % 60);
}

/* The week (1 to 53) of ISO 8601, and how its year differs from that of the date. */
static int iso_week(const struct tm *at, int *years) {
    long long year = at->tm_year + 1900LL;
    for (*years = 1; *years >= -1; --*years) {
        int yday = at->tm_yday; /* counted in the year that is tried */
        for (long long y = year; y < year + *years; y++) yday -= 365 + (y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
        for (long long y = year + *years; y < year; y++) yday += 365 + (y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
        int since_monday = (at->tm_wday + 6) % 7;
        int thursday = yday - since_monday + 3;
        if (thursday >= 0) return thursday / 7 + 1;
    }
    return 1;
}

static int floored(long long value, int unit) { return (int)((value % unit + unit) % unit); }

static bool put_directive(Output *out, Directive *d, const struct tm *at) {
    long long year = at->tm_year + 1900LL;
    int hour12 = (at->tm_hour + 11) % 12 + 1, years;
    struct tm copy = *at; /* mktime() corrects what it is given */
    const wchar_t *half = at->tm_hour > 11 ? L"PM" : L"AM";
    switch (d->letter) {
    case L'a': put_name(out, d, (unsigned)at->tm_wday > 6 ? L"?" : days[at->tm_wday], 3); break;
    case L'A': put_name(out, d, (unsigned)at->tm_wday > 6 ? L"?" : days[at->tm_wday], 99); break;
    case L'b':
    case L'h': put_name(out, d, (unsigned)at->tm_mon > 11 ? L"?" : months[at->tm_mon], 3); break;
    case L'B': put_name(out, d, (unsigned)at->tm_mon > 11 ? L"?" : months[at->tm_mon], 99); break;
    case L'c': put_format(out, d, L"%a %b %e %H:%M:%S %Y", at); break;
    case L'C': put_number(out, d, 1, year / 100 - (year % 100 < 0)); break;
    case L'd': put_number(out, d, 2, at->tm_mday); break;
    case L'D':
    case L'x': put_format(out, d, L"%m/%d/%y", at); break;
    case L'e': put_spaced(out, *d, 2, at->tm_mday); break;
    case L'F': put_format(out, d, L"%Y-%m-%d", at); break;
    case L'g': iso_week(at, &years), put_number(out, d, 2, floored(year + years, 100)); break;
    case L'G': iso_week(at, &years), put_number(out, d, 1, year + years); break;
    case L'H': put_number(out, d, 2, at->tm_hour); break;
    case L'I': put_number(out, d, 2, hour12); break;
    case L'j': put_number(out, d, 3, at->tm_yday + 1); break;
    case L'k': put_spaced(out, *d, 2, at->tm_hour); break;
    case L'l': put_spaced(out, *d, 2, hour12); break;
    case L'm': put_number(out, d, 2, at->tm_mon + 1); break;
    case L'M': put_number(out, d, 2, at->tm_min); break;
    case L'n': put_text(out, d, L"\n", 1, false, false); break;
    case L'p': put_text(out, d, half, 2, false, d->swap_case); break;
    case L'P': put_text(out, d, half, 2, false, true); break;
    case L'r': put_format(out, d, L"%I:%M:%S %p", at); break;
    case L'R': put_format(out, d, L"%H:%M", at); break;
    case L's': put_spaced(out, *d, 1, mktime(&copy)); break;
    case L'S': put_number(out, d, 2, at->tm_sec); break;
    case L't': put_text(out, d, L"\t", 1, false, false); break;
    case L'T':
    case L'X': put_format(out, d, L"%H:%M:%S", at); break;
    case L'u': put_number(out, d, 1, (at->tm_wday + 6) % 7 + 1); break;
    case L'U': put_number(out, d, 2, (at->tm_yday - at->tm_wday + 7) / 7); break;
    case L'V': put_number(out, d, 2, iso_week(at, &years)); break;
    case L'w': put_number(out, d, 1, at->tm_wday); break;
    case L'W': put_number(out, d, 2, (at->tm_yday - (at->tm_wday + 6) % 7 + 7) / 7); break;
    case L'y': put_number(out, d, 2, floored(year, 100)); break;
    case L'Y': put_number(out, d, 1, year); break;
    case L'z': put_offset(out, d, at); break;
    case L'Z': put_zone(out, d, at); break;
    case L'%': put_text(out, d, L"%", 1, false, false); break;
    default: return false;
    }
    return true;
}

/* In the C locale E and O change nothing, but glibc does not take them before every letter. */
static bool modifier_fits(const Directive *d) {
    return !d->modifier || !wcschr(d->modifier == L'E' ? L"abdeghjklmwABDFGHIMSUVW" : L"acxADFXY", d->letter);
}

static Directive parse(const wchar_t *at) {
    Directive d = {.start = at++, .width = -1};
    for (;; at++) {
        if (*at == L'^') d.upper = true;
        else if (*at == L'#') d.swap_case = true;
        else if (*at == L'_' || *at == L'-' || *at == L'0') d.pad = *at;
        else break;
    }
    for (; *at >= L'0' && *at <= L'9'; at++)
        if (__builtin_mul_overflow(d.width < 0 ? 0 : d.width, 10, &d.width) || __builtin_add_overflow(d.width, *at - L'0', &d.width))
            d.width = INT_MAX / 10;
    if (*at == L'E' || *at == L'O') d.modifier = *at++;
    d.letter = *at;
    d.end = *at ? at + 1 : at;
    return d;
}

/* Nothing is written but the text and its end, and 0 returned, where there is no room for both. */
size_t wcsftime(wchar_t *restrict text, size_t room, const wchar_t *restrict format, const struct tm *restrict at) {
    Output out = {.text = text, .room = room};
    while (*format && !out.full) {
        if (*format != L'%') {
            put(&out, *format++);
            continue;
        }
        Directive d = parse(format);
        if (!modifier_fits(&d) || !put_directive(&out, &d, at)) put_verbatim(&out, &d);
        format = d.end;
    }
    if (room) text[out.length] = 0;
    return out.full ? 0 : out.length;
}

/* Of the same moment glibc says "GMT" here and "UTC" where it is local time. */
struct tm *gmtime_r(const time_t *restrict moment, struct tm *restrict to) {
    if (!localtime_r(moment, to)) return NULL;
    to->tm_zone = "GMT";
    return to;
}
