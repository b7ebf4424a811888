// Poisson noise inside a step: one 32-bit word per neuron and step, turned into a count by comparison with thresholds.
//
// Tiles of 256 neurons share the four planes of words of 64 Philox blocks with the counter (step, block, 0): neuron i takes
// word i % 256 / 64 of block i / 256 * 64 + i % 64. This is `step_words` of snnrun/random.py, bit by bit.
#pragma once

#include <algorithm>
#include <cstring>

#include "philox.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define SNNRUN_X86 1
#endif

namespace snnrun {

constexpr int TILE = 256;  // neurons

// The words of one tile.
inline void tile_words_plain(Key key, uint64_t step, uint32_t first_block, uint32_t* words) {
  for (int l = 0; l < 64; ++l) {
    words[l] = static_cast<uint32_t>(step), words[64 + l] = static_cast<uint32_t>(step >> 32);
    words[128 + l] = first_block + static_cast<uint32_t>(l), words[192 + l] = 0;
  }
  philox<64>(key, words, words + 64, words + 128, words + 192);
}

// counts[i] = number of thresholds that do not exceed words[i]. With `stride` 0 all neurons have the same thresholds, otherwise
// threshold m of neuron i is table[m * stride + i]; the largest word, which fills short tables up, is never drawn then.
SNNRUN_INLINE void tile_counts_plain(const uint32_t* words, const uint32_t* table, int64_t thresholds, int64_t stride, int count,
                                     int32_t* counts) {
  for (int i = 0; i < count; ++i) {
    const uint32_t word = stride ? std::min(words[i], 0xFFFFFFFEu) : words[i];
    int32_t n = 0;
    for (int64_t m = 0; m < thresholds; ++m) n += word >= table[stride ? m * stride + i : m];
    counts[i] = n;
  }
}

#ifdef SNNRUN_X86

// 64-bit lanes hold a 32-bit number each; what the multiplication leaves above it is ignored by the next one.
__attribute__((target("avx512f"))) inline void tile_words_512(Key key, uint64_t step, uint32_t first_block, uint32_t* words) {
  const __m512i m0 = _mm512_set1_epi64(0xD2511F53u), m1 = _mm512_set1_epi64(0xCD9E8D57u);
  const __m512i lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
  for (int g = 0; g < 64; g += 32) {
    __m512i a[4], b[4], c[4], d[4];
    for (int u = 0; u < 4; ++u) {
      a[u] = _mm512_set1_epi64(static_cast<uint32_t>(step)), b[u] = _mm512_set1_epi64(static_cast<int64_t>(step >> 32));
      c[u] = _mm512_add_epi64(lanes, _mm512_set1_epi64(first_block + static_cast<uint32_t>(g + 8 * u)));
      d[u] = _mm512_setzero_si512();
    }
    __m512i k0 = _mm512_set1_epi64(key.low), k1 = _mm512_set1_epi64(key.high);
    for (int round = 0; round < 10; ++round) {
      for (int u = 0; u < 4; ++u) {
        const __m512i p0 = _mm512_mul_epu32(a[u], m0), p1 = _mm512_mul_epu32(c[u], m1);
        a[u] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), b[u], k0, 0x96);  // exclusive or of three
        c[u] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), d[u], k1, 0x96);
        b[u] = p1, d[u] = p0;
      }
      k0 = _mm512_add_epi64(k0, _mm512_set1_epi64(0x9E3779B9u)), k1 = _mm512_add_epi64(k1, _mm512_set1_epi64(0xBB67AE85u));
    }
    for (int u = 0; u < 4; ++u) {
      auto* out = reinterpret_cast<__m256i*>(words + g + 8 * u);  // planes are 64 words, or 8 vectors, apart
      _mm256_storeu_si256(out, _mm512_cvtepi64_epi32(a[u])), _mm256_storeu_si256(out + 8, _mm512_cvtepi64_epi32(b[u]));
      _mm256_storeu_si256(out + 16, _mm512_cvtepi64_epi32(c[u])), _mm256_storeu_si256(out + 24, _mm512_cvtepi64_epi32(d[u]));
    }
  }
}

__attribute__((target("avx2"))) inline void tile_words_256(Key key, uint64_t step, uint32_t first_block, uint32_t* words) {
  const __m256i m0 = _mm256_set1_epi64x(0xD2511F53u), m1 = _mm256_set1_epi64x(0xCD9E8D57u);
  const __m256i lanes = _mm256_set_epi64x(3, 2, 1, 0), even = _mm256_set_epi32(7, 5, 3, 1, 6, 4, 2, 0);
  for (int g = 0; g < 64; g += 8) {
    __m256i a[2], b[2], c[2], d[2];
    for (int u = 0; u < 2; ++u) {
      a[u] = _mm256_set1_epi64x(static_cast<uint32_t>(step)), b[u] = _mm256_set1_epi64x(static_cast<int64_t>(step >> 32));
      c[u] = _mm256_add_epi64(lanes, _mm256_set1_epi64x(first_block + static_cast<uint32_t>(g + 4 * u)));
      d[u] = _mm256_setzero_si256();
    }
    __m256i k0 = _mm256_set1_epi64x(key.low), k1 = _mm256_set1_epi64x(key.high);
    for (int round = 0; round < 10; ++round) {
      for (int u = 0; u < 2; ++u) {
        const __m256i p0 = _mm256_mul_epu32(a[u], m0), p1 = _mm256_mul_epu32(c[u], m1);
        a[u] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), b[u]), k0);
        c[u] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), d[u]), k1);
        b[u] = p1, d[u] = p0;
      }
      k0 = _mm256_add_epi64(k0, _mm256_set1_epi64x(0x9E3779B9u)), k1 = _mm256_add_epi64(k1, _mm256_set1_epi64x(0xBB67AE85u));
    }
    const __m256i* const planes[4] = {a, b, c, d};
    for (int plane = 0; plane < 4; ++plane) {
      const __m256i low = _mm256_permutevar8x32_epi32(planes[plane][0], even);
      const __m256i high = _mm256_permutevar8x32_epi32(planes[plane][1], even);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + 64 * plane + g), _mm256_permute2x128_si256(low, high, 0x20));
    }
  }
}

__attribute__((target("avx512f"))) inline void tile_counts_512(const uint32_t* words, const uint32_t* table, int64_t thresholds,
                                                               int32_t* counts) {
  const __m512i one = _mm512_set1_epi32(1);
  for (int g = 0; g < TILE; g += 64) {
    __m512i x[4], n[4];
    for (int u = 0; u < 4; ++u) x[u] = _mm512_loadu_si512(words + g + 16 * u), n[u] = _mm512_setzero_si512();
    for (int64_t m = 0; m < thresholds; ++m) {
      const __m512i t = _mm512_set1_epi32(static_cast<int32_t>(table[m]));
      for (int u = 0; u < 4; ++u) n[u] = _mm512_mask_add_epi32(n[u], _mm512_cmpge_epu32_mask(x[u], t), n[u], one);
    }
    for (int u = 0; u < 4; ++u) _mm512_storeu_si512(counts + g + 16 * u, n[u]);
  }
}

__attribute__((target("avx2"))) inline void tile_counts_256(const uint32_t* words, const uint32_t* table, int64_t thresholds,
                                                            int32_t* counts) {
  for (int g = 0; g < TILE; g += 32) {
    __m256i x[4], n[4];
    for (int u = 0; u < 4; ++u) {
      x[u] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + g + 8 * u)), n[u] = _mm256_setzero_si256();
    }
    for (int64_t m = 0; m < thresholds; ++m) {
      const __m256i t = _mm256_set1_epi32(static_cast<int32_t>(table[m]));
      for (int u = 0; u < 4; ++u) n[u] = _mm256_sub_epi32(n[u], _mm256_cmpeq_epi32(_mm256_max_epu32(x[u], t), x[u]));
    }
    for (int u = 0; u < 4; ++u) _mm256_storeu_si256(reinterpret_cast<__m256i*>(counts + g + 8 * u), n[u]);
  }
}

inline int vector_bits() {
  static const int bits = __builtin_cpu_supports("avx512f") ? 512 : __builtin_cpu_supports("avx2") ? 256 : 0;
  return bits;
}
#endif

inline void tile_words(Key key, uint64_t step, uint32_t first_block, uint32_t* words) {
#ifdef SNNRUN_X86
  if (vector_bits() == 512) return tile_words_512(key, step, first_block, words);
  if (vector_bits() == 256) return tile_words_256(key, step, first_block, words);
#endif
  tile_words_plain(key, step, first_block, words);
}

inline void tile_counts(const uint32_t* words, const uint32_t* table, int64_t thresholds, int64_t stride, int count,
                        int32_t* counts) {
#ifdef SNNRUN_X86
  if (!stride && vector_bits() == 512) return tile_counts_512(words, table, thresholds, counts);
  if (!stride && vector_bits() == 256) return tile_counts_256(words, table, thresholds, counts);
#endif
  tile_counts_plain(words, table, thresholds, stride, count, counts);
}

constexpr int64_t MOST_THRESHOLDS = 256;

// Thresholds that are the same for all neurons and differ from step to step: rows of a table, and lines between them. A place in
// the table has the row in its upper 12 bits, and how far it is to the next one in the 20 bits that follow.
struct Course {
  const uint32_t* rows;  // [rows, thresholds]; null where there is no course
  int64_t thresholds;
  const int64_t* changes;  // [count]: steps at which the place changes, ascending; null where it moves on evenly
  const uint64_t* places;  // [count + 1]: before, between and after them
  int64_t count;
  uint64_t phase, turn;  // the place in step 0, and what a step adds to it
};

// The thresholds of a step: where they lie in the table, or in `room`.
inline const uint32_t* thresholds_of(const Course& course, int64_t step, uint32_t* room) {
  const uint64_t place = course.changes ? course.places[std::upper_bound(course.changes, course.changes + course.count, step) -
                                                        course.changes]
                                        : course.phase + course.turn * static_cast<uint64_t>(step);
  const uint32_t* low = course.rows + static_cast<int64_t>(place >> 52) * course.thresholds;
  const uint32_t* high = low + course.thresholds;
  const int64_t part = static_cast<int64_t>(place >> 32 & 0xFFFFF);
  if (!part) return low;
  for (int64_t m = 0; m < course.thresholds; ++m) {
    room[m] = static_cast<uint32_t>(low[m] + ((static_cast<int64_t>(high[m]) - low[m]) * part >> 20));
  }
  return room;
}

// The word of neuron 0 in a step.
inline uint32_t first_word(Key key, uint64_t step) {
  uint32_t c0[16], c1[16], c2[16] = {}, c3[16] = {};
  std::fill_n(c0, 16, static_cast<uint32_t>(step)), std::fill_n(c1, 16, static_cast<uint32_t>(step >> 32));
  philox<16>(key, c0, c1, c2, c3);
  return c0[0];
}

// A Poisson input on neurons start ... stop - 1 of a population, or the part of it that goes to begin ... end - 1.
struct Noise {
  int64_t target;  // place on the axis of targets of the population's neuron 0, as these lie
  int64_t begin, end;
  int64_t start, stop;
  const uint32_t* table;  // [thresholds], or [thresholds, stop - start]
  int64_t thresholds;
  int64_t per_neuron;     // whether the table has a column for each neuron
  const int64_t* weight;  // in quanta: one, or [stop - start]
  int64_t weights;        // how many
  int64_t first_step, last_step;  // sent in steps first_step ... last_step - 1
  int64_t delay;                  // steps
  Key key;
  Course course;           // in place of the table; with copies, of a train whose events the neurons copy
  const uint32_t* copies;  // [events + 1, events]: thresholds of how many of some events a neuron copies; or null
  int64_t events;          // at most, in a step
  Key mother;              // stream of that train
};

// Adds to sums[t - low], for the targets t in low ... high - 1, what a Poisson input sends them so that it arrives in `step`.
SNNRUN_HOT inline void add_noise(const Noise& noise, int64_t step, int64_t low, int64_t high, int64_t* __restrict sums) {
  const int64_t sent = step - noise.delay;
  if (sent < noise.first_step || sent >= noise.last_step) return;
  const int64_t begin = std::max(noise.begin, low - noise.target), end = std::min(noise.end, high - noise.target);
  if (begin >= end) return;
  const int64_t width = noise.stop - noise.start;
  const uint32_t* table = noise.table;
  int64_t thresholds = noise.thresholds;
  uint32_t room[MOST_THRESHOLDS];
  if (noise.course.rows) {
    table = thresholds_of(noise.course, sent, room), thresholds = noise.course.thresholds;
    if (noise.copies) {
      const uint32_t word = std::min(first_word(noise.mother, static_cast<uint64_t>(sent)), 0xFFFFFFFEu);
      int64_t events = 0;
      for (int64_t m = 0; m < thresholds; ++m) events += word >= table[m];
      if (!events) return;
      table = noise.copies + events * noise.events, thresholds = events;
    }
  }
  alignas(64) uint32_t words[TILE];
  alignas(64) int32_t counts[TILE];
  for (int64_t tile = begin / TILE; tile * TILE < end; ++tile) {
    const int64_t first = std::max(begin, tile * TILE), last = std::min(end, (tile + 1) * TILE);
    const int offset = static_cast<int>(first - tile * TILE), count = static_cast<int>(last - first);
    tile_words(noise.key, static_cast<uint64_t>(sent), static_cast<uint32_t>(tile * 64), words);
    int32_t* n = counts;
    if (noise.course.rows) {  // short rows are filled up with the largest word
      for (int i = 0; i < TILE; ++i) words[i] = std::min(words[i], 0xFFFFFFFEu);
    }
    if (noise.per_neuron) {
      tile_counts(words + offset, noise.table + (first - noise.start), noise.thresholds, width, count, counts);
    } else {
      tile_counts(words, table, thresholds, 0, TILE, counts);
      n += offset;
    }
    int64_t* __restrict sum = sums + (noise.target + first - low);
    if (noise.weights == 1) {
      const int64_t weight = *noise.weight;
      if (weight == static_cast<int32_t>(weight)) {  // a product of 32-bit numbers is several times faster
        const int32_t narrow = static_cast<int32_t>(weight);
        for (int i = 0; i < count; ++i) sum[i] += static_cast<int64_t>(n[i]) * narrow;
      } else {
        for (int i = 0; i < count; ++i) sum[i] += n[i] * weight;
      }
    } else {
      const int64_t* weight = noise.weight + (first - noise.start);
      for (int i = 0; i < count; ++i) sum[i] += n[i] * weight[i];
    }
  }
}

// One word for each of the neurons first ... first + size - 1 of a population.
inline void step_words(Key key, uint64_t step, int64_t first, int64_t size, uint32_t* out) {
  alignas(64) uint32_t words[TILE];
  for (int64_t tile = first / TILE; tile * TILE < first + size; ++tile) {
    const int64_t begin = std::max(first, tile * TILE), end = std::min(first + size, (tile + 1) * TILE);
    tile_words(key, step, static_cast<uint32_t>(tile * 64), words);
    std::memcpy(out + (begin - first), words + (begin - tile * TILE), sizeof(uint32_t) * static_cast<size_t>(end - begin));
  }
}

}  // namespace snnrun
