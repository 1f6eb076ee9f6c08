/* glmc_chat.h: the prompt of a conversation, after a glmc_framing. */
#ifndef GLMC_CHAT_H
#define GLMC_CHAT_H

#include "glmc.h"
#include "glmc_pattern.h"

/* Text that is stored as far as there is room, and counted. */
typedef struct glmc_written { char *text; int64_t capacity, bytes; } glmc_written;

static inline void glmc_write(glmc_written *to, const char *text, uint64_t bytes) {
    int64_t room = to->capacity > to->bytes ? to->capacity - to->bytes : 0;
    if (room > 0 && bytes > 0) memcpy(to->text + to->bytes, text, (size_t)((int64_t)bytes < room ? (int64_t)bytes : room));
    to->bytes += (int64_t)bytes;
}
static inline void glmc_write_string(glmc_written *to, const char *text) { glmc_write(to, text, strlen(text)); }

/* What Python's str.strip() takes away. */
static inline int glmc_is_blank(uint32_t point) {
    return (point >= 0x09 && point <= 0x0d) || (point >= 0x1c && point <= 0x20) || point == 0x85 || point == 0xa0 || point == 0x1680 ||
           (point >= 0x2000 && point <= 0x200a) || point == 0x2028 || point == 0x2029 || point == 0x202f || point == 0x205f || point == 0x3000;
}

static inline void glmc_write_trimmed(glmc_written *to, const char *text, uint32_t trim) {
    const uint8_t *bytes = (const uint8_t *)text;
    uint64_t start = 0, end = strlen(text), at;
    uint32_t point, length;
    for (; (trim & GLMC_TRIM_START) && start < end; start += length) {
        length = glmc_next(bytes + start, end - start, &point);
        if (!glmc_is_blank(point)) break;
    }
    for (; (trim & GLMC_TRIM_END) && end > start; end = at) {
        at = glmc_previous(bytes, end);
        glmc_next(bytes + at, end - at, &point);
        if (!glmc_is_blank(point)) break;
    }
    glmc_write(to, text + start, end - start);
}

/* Of an assistant's content, what follows its reasoning. */
static inline const char *glmc_behind_reasoning(const glmc_framing *framing, const char *content) {
    if (framing->reasoning_end == NULL || framing->reasoning_end[0] == 0) return content;
    const char *found = NULL;
    for (const char *at = content; (at = strstr(at, framing->reasoning_end)) != NULL; at += strlen(framing->reasoning_end)) found = at;
    if (found == NULL) return content;
    for (found += strlen(framing->reasoning_end); *found == '\n';) found++;
    return found;
}

/* Stores at most `capacity` bytes of the prompt, generation prompt included, and returns how many it has, which may be more. `system` may be NULL;
 * `contents`: those of user and assistant by turns, UTF-8. Returns -1 where there is a system message and the framing takes none. */
static inline int64_t glmc_frame_chat(const glmc_framing *framing, const char *system, const char *const *contents, uint32_t count, char *text,
                                      int64_t capacity) {
    glmc_written to = {text, capacity, 0};
    if (system == NULL) glmc_write_string(&to, framing->opening);
    else {
        if (framing->system_prefix == NULL || framing->system_suffix == NULL) return -1;
        glmc_write_string(&to, framing->system_prefix);
        glmc_write_trimmed(&to, system, framing->trims[0]);
        glmc_write_string(&to, framing->system_suffix);
    }
    for (uint32_t i = 0; i < count; i++) {
        int assistant = i % 2 == 1;
        if (i > 0) glmc_write_string(&to, assistant ? framing->assistant_prefix : framing->user_prefix);
        glmc_write_trimmed(&to, assistant ? glmc_behind_reasoning(framing, contents[i]) : contents[i], framing->trims[assistant ? 2 : 1]);
        glmc_write_string(&to, assistant ? framing->assistant_suffix : framing->user_suffix);
    }
    glmc_write_string(&to, framing->answer);
    return to.bytes;
}

#endif
