/* Blocks of a memory that differ from the image's, in few bytes: runtime/snapshots/delta.py says what they mean, and reads
 * the same in Python.
 *
 * A program's objects lie side by side, those of one size together. So most words can be guessed: as the image has them,
 * as the word so far back, or that word and as much again as it was more than the one so far back from it. Which of
 * these fits is chosen for each block; a word that was guessed right takes no bytes, one that was nearly so, few. */
#include "names.h"

#include <string.h>

/* GOOD: so many words guessed right are enough not to try other ways. */
enum { WORDS = 128, BLOCK = 4 * WORDS, MAX_PACKED = 1 + 5 * WORDS, SKIP = 64, GOOD = 112 };
/* Ways of guessing: how many words back, 0 for the image's, and with LINEAR as much again; RAW is a block as it is. */
enum { IMAGE = 0, LINEAR = 64, RAW = 128 };
static const uint8_t TRIED[] = {IMAGE, 1, 3, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60};
static const uint32_t ZEROS[WORDS];

/* A block, behind the one before it. */
typedef uint32_t Window[2 * WORDS];

/* Without a branch, so that a loop over words is done for several at once. */
static inline uint32_t guess(const uint32_t *word, const uint32_t *image, uint8_t way)
{
    int back = way % LINEAR;
    uint32_t of_image = -(uint32_t)(back == IMAGE), again = -(uint32_t)(way >= LINEAR), last = word[-back];
    return (*image & of_image) | ((last + ((last - word[-2 * back]) & again)) & ~of_image);
}

static uint8_t best_way(const uint32_t *words, const uint32_t *image, uint8_t last)
{
    uint8_t best = last;
    for (int at = -1, most = -1; most < GOOD && at < (int)(2 * sizeof TRIED); at++) {
        uint8_t way = at < 0 ? last : TRIED[at / 2] | at % 2 * LINEAR;
        int right = 0;
        for (int index = 0; index < WORDS; index++)
            right += words[index] == guess(words + index, image + index, way);
        best = right > most ? way : best;
        most = right > most ? right : most;
    }
    return best;
}

static uint8_t *pack_block(const uint32_t *words, const uint32_t *image, uint8_t way, uint8_t *to)
{
    uint8_t *start = to;
    int right = 0;
    *to++ = way;
    for (int index = 0; index < WORDS; index++) {
        uint32_t more = words[index] - guess(words + index, image + index, way);
        if (more == 0 && ++right < SKIP)
            continue;
        uint32_t zigzag = more << 1 ^ (uint32_t)((int32_t)more >> 31);
        int kind = (zigzag > 0) + (zigzag > UINT8_MAX) + (zigzag > UINT16_MAX);
        *to++ = (uint8_t)(kind * SKIP + right % SKIP);
        memcpy(to, kind == 3 ? &words[index] : &zigzag, 4);
        to += kind + (kind == 3);
        right = 0;
    }
    *to = 0;
    to += right > 0;
    if (to - start < 1 + BLOCK)
        return to;
    *start = RAW;
    memcpy(start + 1, words, BLOCK);
    return start + 1 + BLOCK;
}

/* Returns where the block ends, or NULL if that is behind `end`, or it is none. */
static const uint8_t *unpack_block(uint32_t *words, const uint32_t *image, const uint8_t *at, const uint8_t *end)
{
    if (at == end || *at > RAW || (*at == RAW && end - at <= BLOCK))
        return NULL;
    uint8_t way = *at++;
    if (way == RAW) {
        memcpy(words, at, BLOCK);
        return at + BLOCK;
    }
    for (int index = 0; index < WORDS;) {
        if (at == end)
            return NULL;
        int kind = *at / SKIP, size = kind + (kind == 3), until = index + (kind == 0 ? SKIP : *at % SKIP);
        for (at++; index < until && index < WORDS; index++)
            words[index] = guess(words + index, image + index, way);
        if (kind == 0)
            continue;
        if (index == WORDS || end - at < size)
            return NULL;
        uint32_t value = 0;
        for (int byte = 0; byte < size; byte++)
            value |= (uint32_t)*at++ << 8 * byte;
        words[index] = kind == 3 ? value : guess(words + index, image + index, way) + (value >> 1 ^ -(value & 1));
        index++;
    }
    return at;
}

/* The image's block of that number; what lies beyond the image was zero. */
static const uint32_t *image_block(const Py_buffer *image, uint64_t number)
{
    return (number + 1) * BLOCK <= (uint64_t)image->len ? (uint32_t *)image->buf + number * WORDS : ZEROS;
}

/* Pack what differs within these spans, and note it as runs of blocks: the first one's number, and how many. */
static void pack(const uint32_t *now, const Py_buffer *image, const Py_buffer *spans, uint32_t **run, uint8_t **to)
{
    Window window = {0};
    uint8_t way = IMAGE;
    const uint64_t *span = spans->buf, *end = span + spans->len / 8;
    for (uint64_t next = 0; span < end; span += 2)
        for (uint64_t number = span[0] / BLOCK; number < span[1] / BLOCK; number++) {
            const uint32_t *before = image_block(image, number);
            memcpy(window + WORDS, now + number * WORDS, BLOCK);
            if (memcmp(window + WORDS, before, BLOCK) == 0)
                continue;
            way = best_way(window + WORDS, before, way);
            *to = pack_block(window + WORDS, before, way, *to);
            memcpy(window, window + WORDS, BLOCK);
            if (next == 0 || next != number) {
                *(*run)++ = (uint32_t)number;
                *(*run)++ = 0;
            }
            (*run)[-1]++;
            next = number + 1;
        }
}

static int unpack(uint32_t *to, const Py_buffer *image, const Py_buffer *runs, const uint8_t *at, const uint8_t *end)
{
    Window window = {0};
    for (const uint32_t *run = runs->buf; run < (uint32_t *)runs->buf + runs->len / 4; run += 2)
        for (uint64_t number = run[0]; number < (uint64_t)run[0] + run[1]; number++, to += WORDS) {
            if ((at = unpack_block(window + WORDS, image_block(image, number), at, end)) == NULL)
                return 0;
            memcpy(window, window + WORDS, BLOCK);
            memcpy(to, window, BLOCK);
        }
    return at == end;
}

/* pack(memory, image, spans, blocks) -> (runs, packed): spans and runs are pairs of 64 and of 32 bits; no more `blocks` */
PyObject *pages_pack(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer now, image, spans;
    Py_ssize_t blocks;
    if (!PyArg_ParseTuple(args, "y*y*y*n", &now, &image, &spans, &blocks))
        return NULL;
    PyObject *made = NULL;
    uint32_t *runs = PyMem_Malloc((size_t)blocks * (8 + MAX_PACKED)), *run = runs;
    if (runs != NULL) {
        char *packed = (char *)(runs + 2 * blocks);
        uint8_t *to = (uint8_t *)packed;
        PyThreadState *thread = PyEval_SaveThread();
        pack(now.buf, &image, &spans, &run, &to);
        PyEval_RestoreThread(thread);
        made = Py_BuildValue("(NN)", PyBytes_FromStringAndSize((char *)runs, (char *)run - (char *)runs),
                             PyBytes_FromStringAndSize(packed, (char *)to - packed));
        PyMem_Free(runs);
    }
    PyBuffer_Release(&now), PyBuffer_Release(&image), PyBuffer_Release(&spans);
    return runs == NULL ? PyErr_NoMemory() : made;
}

/* unpack(runs, packed, image) -> bytes, or None if that is malformed; the caller knows how many bytes that are */
PyObject *pages_unpack(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer runs, packed, image;
    Py_ssize_t blocks = 0;
    if (!PyArg_ParseTuple(args, "y*y*y*", &runs, &packed, &image))
        return NULL;
    for (Py_ssize_t index = 1; index < runs.len / 4; index += 2)
        blocks += ((uint32_t *)runs.buf)[index];
    PyObject *contents = PyBytes_FromStringAndSize(NULL, blocks * BLOCK);
    if (contents != NULL) {
        uint32_t *to = (uint32_t *)PyBytes_AsString(contents);
        PyThreadState *thread = PyEval_SaveThread();
        int done = unpack(to, &image, &runs, packed.buf, (uint8_t *)packed.buf + packed.len);
        PyEval_RestoreThread(thread);
        if (!done)
            replace(&contents, Py_None);
    }
    PyBuffer_Release(&runs), PyBuffer_Release(&packed), PyBuffer_Release(&image);
    return contents;
}
