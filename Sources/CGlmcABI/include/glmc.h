/* glmc.h: the C interface of every artifact that glmc compiles.
 *
 * One header serves all models, on the host and on a device. It has no library behind it: all code lives in the artifact.
 *
 * Getting a model:   a shared library exports  const glmc_model *glmc_model_get(void);
 *                    every artifact exports    const glmc_model *model_NAME(void);      so several can be linked into one program; the header
 *                    that glmc writes beside a static library or an object declares it.
 * Running it, short: glmc_session_open, glmc_session_run, glmc_session_close (below): one handle owns threads and scratch memory.
 * Running it, long:  fill a glmc_call with caller-owned buffers, ask entry->output_shapes and entry->workspace_size, then entry->run.
 *
 * Promises: a glmc_model is constant and has no mutable state, so any number of threads may run it at once, each with its own
 * workspace and outputs. `run` allocates nothing. Every pointer (for null, alignment and overlap), shape and size that is passed in is
 * checked; what is wrong is returned as a glmc_status and as text, never as a signal. What cannot be checked is the caller's part: that a
 * pointer leads to as many bytes as are said to be there, and that a session that was closed is not used again.
 *
 * Compatibility: structures only grow at their end. `abi_version` changes only when old callers would break; `size` fields say how
 * much of a structure its author knew, so that newer callers and older artifacts (and the reverse) work together. */
#ifndef GLMC_H
#define GLMC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GLMC_ABI_VERSION 1u
#define GLMC_MAX_RANK 8
#define GLMC_ALIGNMENT 64 /* of workspaces, in bytes; inputs and outputs need only their element's own alignment */

/* What a call returns. GLMC_OK is 0 and will stay it; the text in the error buffer says more. */
typedef enum glmc_status {
    GLMC_OK = 0,
    GLMC_BAD_ARGUMENT = 1, /* a null pointer, a wrong count, a structure of another version */
    GLMC_BAD_TYPE = 2,     /* a tensor's element type is not the model's */
    GLMC_BAD_SHAPE = 3,    /* a tensor's rank or sizes do not fit the model or one another */
    GLMC_TOO_SMALL = 4,    /* a buffer or the workspace holds too few bytes */
    GLMC_NO_CPU = 5,       /* this processor lacks instructions that the artifact was compiled for */
    GLMC_NO_MEMORY = 6,    /* the system gave no memory or no thread */
    GLMC_BUSY = 7,         /* these threads or this session are in use by another run */
    GLMC_BAD_DATA = 8,     /* the contents of an input (an index, a size) make the result undefined */
    GLMC_BAD_FILE = 9,     /* the file of external weights is missing, short or of another model */
    GLMC_NO_DEVICE = 10    /* the device, its driver or a launch failed */
} glmc_status;

/* Element types, numbered as in ONNX. An element of less than 8 bits takes a byte of its own: the number, with its sign; of f4e2m1 the code. */
typedef enum glmc_dtype {
    GLMC_F32 = 1, GLMC_U8 = 2, GLMC_I8 = 3, GLMC_U16 = 4, GLMC_I16 = 5, GLMC_I32 = 6, GLMC_I64 = 7,
    GLMC_STRING = 8, GLMC_BOOL = 9, GLMC_F16 = 10, GLMC_F64 = 11, GLMC_U32 = 12, GLMC_U64 = 13,
    GLMC_C64 = 14, GLMC_C128 = 15, GLMC_BF16 = 16, GLMC_F8E4M3FN = 17, GLMC_F8E4M3FNUZ = 18, GLMC_F8E5M2 = 19,
    GLMC_F8E5M2FNUZ = 20, GLMC_U4 = 21, GLMC_I4 = 22, GLMC_F4E2M1 = 23, GLMC_F8E8M0 = 24, GLMC_U2 = 25, GLMC_I2 = 26
} glmc_dtype;

/* Where a buffer lives. */
typedef enum glmc_device { GLMC_HOST = 0, GLMC_CUDA = 1 } glmc_device;

/* A buffer with its type and shape: row-major, densely packed. Buffers of outputs overlap no other buffer, except those of state. */
typedef struct glmc_tensor {
    void *data;                   /* may be null when the tensor has no elements; null for an optional input: its default, whatever else is here */
    uint64_t bytes;               /* capacity of `data` */
    int32_t dtype;                /* glmc_dtype */
    int32_t rank;                 /* 0...GLMC_MAX_RANK */
    int32_t device;               /* glmc_device */
    int32_t device_index;         /* which one, from 0 */
    int64_t shape[GLMC_MAX_RANK]; /* of an output: written by the artifact */
} glmc_tensor;

/* glmc_tensor_info.flags */
#define GLMC_DATA_DEPENDENT 1u /* the shape follows from the data: output_shapes gives an upper bound, run writes the actual shape */
#define GLMC_DIMENSION 4u      /* of an input: i64 on the host, whose elements are dimensions; output_shapes and workspace_size read it */
#define GLMC_OPTIONAL 2u       /* of an input: it has a default, which lies in the weights; a caller that feeds nothing passes null data */

/* An input or output, as the model declares it. */
typedef struct glmc_tensor_info {
    const char *name;
    int32_t dtype;           /* glmc_dtype */
    int32_t rank;
    const int64_t *shape;    /* [rank]; -1 where the size is free */
    const char *const *dims; /* [rank]; each size as text: "224", "batch", "4*h + 1" */
    uint32_t flags;
    int32_t state;           /* state kept between calls (a KV cache): of an output, the index of the input whose buffer it updates in
                                place (pass the same pointer twice); of an input, the index of that output; -1 = no state */
    int32_t device;          /* glmc_device where the buffer must live */
    uint32_t squeezed;       /* of an output, axes as bits: where such an axis has one element, the shape that is written lacks it (`rank` and `shape` here have it) */
    uint32_t reserved[2];
} glmc_tensor_info;

/* A named dimension. */
typedef struct glmc_dim_info {
    const char *name;
    int64_t min, max;    /* inclusive; max is INT64_MAX when nothing bounds it */
    uint32_t flags;      /* GLMC_DATA_DEPENDENT: found while running; else: bound by the shapes of the inputs, or by a value of one (GLMC_DIMENSION) */
    uint32_t reserved;
} glmc_dim_info;

/* A team of threads that run one function together. Made by glmc_model.threads_create, or by a program that has threads of its own:
 * then `run` must call body(argument, i, count) for all i in 0..<count at the same time (they wait for one another), and return when
 * all have returned. One team serves one run at a time; `run` returns GLMC_BUSY when it is in use. Calls with wrong numbers, calls too
 * many and a return too early are found (GLMC_BAD_ARGUMENT), and so are calls too few, except that those that were made may wait for them. */
typedef struct glmc_threads {
    uint32_t size;      /* sizeof(glmc_threads) */
    int32_t count;      /* the calling thread is number 0 */
    int64_t spin_ns;    /* how long a thread of the team may spin before it sleeps; 0 when there are more threads than processors */
    int (*run)(struct glmc_threads *self, void (*body)(void *argument, int thread, int count), void *argument);
    void (*destroy)(struct glmc_threads *self);
} glmc_threads;

/* One use of an entry point. Zero it first, set `size`, then what is needed; zero means "none" everywhere. */
typedef struct glmc_call {
    uint32_t size;             /* sizeof(glmc_call) */
    uint32_t input_count;
    uint32_t output_count;
    uint32_t reserved;
    const glmc_tensor *inputs;
    glmc_tensor *outputs;
    void *workspace;           /* scratch memory, aligned to GLMC_ALIGNMENT; contents need not survive between calls */
    uint64_t workspace_bytes;
    glmc_threads *threads;     /* null: the calling thread alone */
    const void *weights;       /* the mapped weights, of a model whose weights are in a file of their own; else null */
    void *stream;              /* a device's stream (cudaStream_t); run only enqueues there */
    /* Called by each thread as it begins (ends = 0) and ends (1) a kernel of the manifest's list; null: no tracing. */
    void (*trace)(void *trace_context, int kernel, int thread, int ends);
    void *trace_context;
    char *error;               /* receives the text of an error, zero-terminated; may be null */
    uint64_t error_bytes;
} glmc_call;

/* A function of the model: most have one, "main"; a language model has several over the same weights. */
typedef struct glmc_entry {
    uint32_t size;              /* sizeof(glmc_entry) */
    uint32_t input_count;
    uint32_t output_count;
    uint32_t dim_count;
    uint32_t kernel_count;
    uint32_t reserved;
    const char *name;
    const glmc_tensor_info *inputs;
    const glmc_tensor_info *outputs;
    const glmc_dim_info *dims;
    /* Checks the inputs and writes dtype, rank, shape and device of every output. Reads no input data but that of dimensions. */
    int (*output_shapes)(const struct glmc_entry *self, const glmc_call *call);
    /* The workspace that `run` needs for these inputs and threads. Reads no input data but that of dimensions. */
    int (*workspace_size)(const struct glmc_entry *self, const glmc_call *call, uint64_t *bytes);
    /* Checks everything, computes, writes the outputs and their shapes. */
    int (*run)(const struct glmc_entry *self, const glmc_call *call);
} glmc_entry;

typedef struct glmc_session glmc_session;
struct glmc_model;

/* A chat template as plain strings, for conversations in which user and assistant take turns, the user first and last, behind at most one system message.
 * The strings are UTF-8. */
typedef struct glmc_framing {
    uint32_t size;             /* sizeof(glmc_framing) */
    uint32_t trims[3];         /* the white space that contents of system, user and assistant lose: GLMC_TRIM_... */
    const char *opening;       /* before the first user's content, where there is no system message */
    const char *system_prefix; /* before a system message's content; null: the template takes none */
    const char *system_suffix; /* from there to the first user's content */
    const char *user_prefix;   /* of all but the first */
    const char *user_suffix;
    const char *assistant_prefix;
    const char *assistant_suffix;
    const char *answer;        /* behind the last user's suffix: the assistant's answer follows */
    const char *reasoning_end; /* of an assistant's content, only what follows the last of these stays, without line breaks before it; null: all of it */
} glmc_framing;

#define GLMC_TRIM_START 1u
#define GLMC_TRIM_END 2u

#define GLMC_MOST_DRAFT 63  /* of glmc_sampling.draft_tokens */
#define GLMC_USUAL_DRAFT 7  /* with the token before them they make eight rows, which kernels take at once */

/* How to continue a text. Zero it first, set `size`, then what is needed; zero means "none" everywhere. */
typedef struct glmc_sampling {
    uint32_t size;             /* sizeof(glmc_sampling) */
    int32_t top_k;             /* only so many of the most probable tokens; 0: any */
    float temperature;         /* what scores are divided by; 0: always the most probable token */
    float top_p;               /* only the most probable tokens whose share reaches this; 0 and 1: any */
    float min_p;               /* only tokens at least this many times as probable as the most probable one */
    float repeat_penalty;      /* scores of tokens that occurred are divided by it (multiplied, where negative); 0 and 1: they are not */
    uint64_t seed;             /* the same seed gives the same text, with any number of threads */
    uint64_t most_tokens;      /* new ones; 0: as many as the context holds */
    const char *const *stops;  /* texts that end the answer, where they begin; copied */
    uint32_t stop_count;
    uint32_t ignores_stop_tokens; /* 1: the model's tokens that end a text do not end it */
    const volatile int *interrupted; /* not 0: end as soon as possible; null: never */
    uint32_t draft_tokens;     /* guess up to so many of the next tokens and check them in one step: those that scores and seed do not choose are dropped; 0: none */
    uint32_t reserved;
    /* Guesses what follows the tokens of a text: writes up to `most` tokens and returns how many. Null: what followed the text's last tokens where they
     * occurred before. Called between the steps of glmc_language.next, by the thread that called that. */
    uint32_t (*draft)(void *draft_context, const int32_t *tokens, uint64_t count, int32_t *guess, uint32_t most);
    void *draft_context;
} glmc_sampling;

/* glmc_generated.end: why nothing follows. */
typedef enum glmc_end { GLMC_END_NONE = 0, GLMC_END_TOKEN = 1, GLMC_END_TEXT = 2, GLMC_END_COUNT = 3, GLMC_END_CONTEXT = 4, GLMC_END_INTERRUPTED = 5 } glmc_end;

/* One token more, and figures of the text so far. */
typedef struct glmc_generated {
    uint32_t size;          /* sizeof(glmc_generated); set by the caller */
    int32_t token;          /* -1 where it was interrupted */
    int32_t end;            /* glmc_end */
    uint32_t reserved;
    const char *text;       /* UTF-8, complete characters, no zero at the end, valid until the generator's next call; without special tokens */
    uint64_t text_bytes;    /* often 0: what may become a longer character or one of the stops is held back */
    uint64_t prompt_tokens;
    uint64_t kept_tokens;   /* of these, the ones that were in the cache already */
    uint64_t new_tokens;
    int64_t prompt_ns;      /* time from the start to the first new token */
    int64_t decode_ns;      /* from there to the last one */
    uint64_t steps;         /* runs of the model behind the prompt */
} glmc_generated;

/* Continues texts: a session, and a cache that holds the tokens of one text. */
typedef struct glmc_generator glmc_generator;

/* glmc_language.encode and decode */
#define GLMC_FRAMED 1u       /* encode: with the tokens that the model wants around a text, such as its beginning */
#define GLMC_NOT_SPECIAL 2u  /* encode: what looks like a special token is text */
#define GLMC_SHOW_SPECIAL 4u /* decode: special tokens too */

/* What a language model has beside its entry points. Functions that fill memory return how much there is, which may be more than `capacity` (then call
 * again), or a glmc_status as a negative number; the others return a glmc_status. Use a generator from one thread at a time. */
typedef struct glmc_language {
    uint32_t size;             /* sizeof(glmc_language) */
    uint32_t prefill_entry;    /* number of the entry point that continues a text by several tokens */
    uint32_t decode_entry;     /* of the one that continues it by one */
    uint32_t score_entry;      /* of the one that takes whole texts */
    int64_t vocabulary;        /* tokens are 0 ..< vocabulary */
    int64_t context;           /* how many tokens prompt and answer may have together */
    const void *tokenizer;     /* the table that glmc_tokenizer.h reads; null: tokens in, tokens out */
    uint64_t tokenizer_bytes;
    const int32_t *stop_tokens;
    uint64_t stop_token_count;
    const glmc_framing *framing; /* null: the model has no chat template, or none that strings can stand for */
    int64_t (*encode)(const struct glmc_language *self, const char *text, uint64_t bytes, uint32_t flags, int32_t *tokens, int64_t capacity,
                      char *error, uint64_t error_bytes);
    int64_t (*decode)(const struct glmc_language *self, const int32_t *tokens, int64_t count, uint32_t flags, char *text, int64_t capacity,
                      char *error, uint64_t error_bytes);
    /* The prompt of a conversation: `contents` of user and assistant by turns, beginning and ending with the user's; `system` may be
     * null. Encode it without GLMC_FRAMED. */
    int64_t (*chat)(const struct glmc_language *self, const char *system, const char *const *contents, uint32_t count, char *text, int64_t capacity,
                    char *error, uint64_t error_bytes);
    /* Opens a generator; arguments as of glmc_session_open. */
    int (*open)(const struct glmc_model *model, int threads, const char *weights_path, glmc_generator **generator, char *error, uint64_t error_bytes);
    /* Sets the text to continue; copies both. What the cache holds of its beginning is not computed again. */
    int (*start)(glmc_generator *generator, const int32_t *tokens, uint64_t count, const glmc_sampling *how, char *error, uint64_t error_bytes);
    /* The next token. */
    int (*next)(glmc_generator *generator, glmc_generated *generated, char *error, uint64_t error_bytes);
    /* The scores of what follows all tokens so far, f32 [vocabulary], valid until the generator's next call. */
    int (*logits)(glmc_generator *generator, const float **logits, char *error, uint64_t error_bytes);
    void (*close)(glmc_generator *generator);
    uint32_t verify_entry;     /* of the entry point that continues a text by several tokens and gives the scores behind each */
    uint32_t batch_entry;      /* where there are several sequences: of the one that continues each of them by one token */
    int64_t sequences;         /* how many texts the states hold. Ask glmc_language_sequences: artifacts of earlier versions end before this */
    /* Opens 1 to `sequences` generators that share threads and states. Use all of them from one thread at a time; close each. */
    int (*open_many)(const struct glmc_model *model, int threads, const char *weights_path, uint32_t count, glmc_generator **generators, char *error,
                     uint64_t error_bytes);
    /* Computes what the next tokens of generators that were opened together need, for all of them in one run; those without a text, and those whose text has
     * ended, stay as they are. Call it before `next` of each: without it, each reads the weights for itself. */
    int (*advance)(glmc_generator *const *generators, uint32_t count, char *error, uint64_t error_bytes);
    /* Writes what the generator's cache holds to a file: its tokens, with keys and values. */
    int (*save)(glmc_generator *generator, const char *path, char *error, uint64_t error_bytes);
    /* Reads such a file of the same artifact into the cache: a text that begins with its tokens is not computed again. The text that was continued ends. */
    int (*restore)(glmc_generator *generator, const char *path, char *error, uint64_t error_bytes);
    /* By how many tokens behind it a smaller `past` may follow: layers that see the tokens of a window only keep no others. */
    int64_t rewind;
} glmc_language;

/* A compiled model. Constant for the life of the program. */
typedef struct glmc_model {
    uint32_t abi_version;       /* GLMC_ABI_VERSION of the artifact */
    uint32_t size;              /* sizeof(glmc_model) of the artifact */
    const char *name;
    const char *manifest;       /* JSON, UTF-8, zero-terminated */
    uint64_t manifest_bytes;    /* without the zero */
    const char *cpu_features;   /* needed, separated by blanks; "" = any processor of the architecture */
    int32_t device;             /* glmc_device that it runs on */
    uint32_t entry_count;
    const glmc_entry *const *entries;
    const void *weights;        /* null: in a file of their own */
    uint64_t weights_bytes;
    const char *weights_file;   /* null, or that file's name, to be looked for beside the artifact */
    const char *weights_id;     /* null, or 64 hexadecimal digits that the weights file must carry (see docs/artifact.md) */
    /* GLMC_NO_CPU when this processor lacks a feature; the text names those missing. */
    int (*check_cpu)(char *error, uint64_t error_bytes);
    /* A team of `count` threads, the caller included (0: as many as there are processors). Null without memory or threads, and for a
     * count below 0 or above 1024. */
    glmc_threads *(*threads_create)(int count);
    /* See glmc_session_open, _run, _close. */
    int (*session_open)(const struct glmc_model *self, int threads, const char *weights_path, glmc_session **session, char *error, uint64_t error_bytes);
    int (*session_run)(glmc_session *session, uint32_t entry, const glmc_tensor *inputs, uint32_t input_count, glmc_tensor *outputs,
                       uint32_t output_count, char *error, uint64_t error_bytes);
    void (*session_close)(glmc_session *session);
    const glmc_language *language; /* null: no language model. Ask glmc_model_language: artifacts of earlier versions end before this */
} glmc_model;

/* What a language model has beside its entry points; null for other models. */
static inline const glmc_language *glmc_model_language(const glmc_model *model) {
    return model && model->size >= offsetof(glmc_model, language) + sizeof model->language ? model->language : 0;
}

/* How many texts a language model continues at once; more than 0 says that open_many, advance, save and restore are there. */
static inline int64_t glmc_language_sequences(const glmc_language *language) {
    return language && language->size >= offsetof(glmc_language, rewind) + sizeof language->rewind ? language->sequences : 0;
}

/* Opens a handle that owns threads (0: as many as processors), workspace and mapped weights. Use it from one thread at a time.
 * `weights_path`: the file of external weights; null: the model's weights_file in the current folder. */
static inline int glmc_session_open(const glmc_model *model, int threads, const char *weights_path, glmc_session **session,
                                    char *error, uint64_t error_bytes) {
    return model ? model->session_open(model, threads, weights_path, session, error, error_bytes) : GLMC_BAD_ARGUMENT;
}

/* Runs entry number `entry`. An output whose `data` is null is given memory of the session, valid until its next run or its end
 * (set it to null again before a run of another entry point). */
static inline int glmc_session_run(const glmc_model *model, glmc_session *session, uint32_t entry, const glmc_tensor *inputs, uint32_t input_count,
                                   glmc_tensor *outputs, uint32_t output_count, char *error, uint64_t error_bytes) {
    return model ? model->session_run(session, entry, inputs, input_count, outputs, output_count, error, error_bytes) : GLMC_BAD_ARGUMENT;
}

static inline void glmc_session_close(const glmc_model *model, glmc_session *session) {
    if (model) model->session_close(session);
}

#ifdef __cplusplus
}
#endif
#endif
