// Philox4x32-10 (Salmon, Moraes, Dror & Shaw, SC 2011), many counters at a time.
#pragma once

#include <cstdint>

// Copies of a loop for several kinds of processor, chosen when the library is loaded. None changes an order of additions, and
// nothing is contracted (-ffp-contract=off), so all give the same bits. GCC before 12 cannot choose by these names.
#if defined(__x86_64__) && defined(__linux__) && __GNUC__ >= 12 && !defined(__clang__) && !defined(SNNRUN_ONE_COPY)
#define SNNRUN_HOT __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SNNRUN_HOT
#endif
#define SNNRUN_INLINE inline __attribute__((always_inline))

namespace snnrun {

constexpr int BATCH = 256;  // counters, draws or edges treated at a time: all intermediates stay in the first-level cache

struct Key {
  uint32_t low, high;
};

// Ten rounds on counters (c0, c1, c2, c3), in place.
template <int N>
SNNRUN_INLINE void philox(Key key, uint32_t* __restrict c0, uint32_t* __restrict c1, uint32_t* __restrict c2,
                          uint32_t* __restrict c3) {
  for (int i = 0; i < N; i += 16) {  // a group's counters stay in registers over the rounds
    uint32_t a[16], b[16], c[16], d[16];
    for (int l = 0; l < 16; ++l) a[l] = c0[i + l], b[l] = c1[i + l], c[l] = c2[i + l], d[l] = c3[i + l];
    uint32_t k0 = key.low, k1 = key.high;
    for (int round = 0; round < 10; ++round) {
      for (int l = 0; l < 16; ++l) {
        const uint64_t p0 = static_cast<uint64_t>(a[l]) * 0xD2511F53u, p1 = static_cast<uint64_t>(c[l]) * 0xCD9E8D57u;
        a[l] = static_cast<uint32_t>(p1 >> 32) ^ b[l] ^ k0;
        b[l] = static_cast<uint32_t>(p1);
        c[l] = static_cast<uint32_t>(p0 >> 32) ^ d[l] ^ k1;
        d[l] = static_cast<uint32_t>(p0);
      }
      k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    for (int l = 0; l < 16; ++l) c0[i + l] = a[l], c1[i + l] = b[l], c2[i + l] = c[l], c3[i + l] = d[l];
  }
}

}  // namespace snnrun
