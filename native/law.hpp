// Random numbers that define a network: the twin of snnrun/random.py, bit by bit. Only + - * / and square roots in float64, in
// the same order as there, and nothing contracted.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "philox.hpp"

namespace snnrun {

constexpr int ATTEMPT = 48;  // bits of the number that count draws; those above count the attempts of one draw
constexpr int MAX_ATTEMPTS = 1000;

// Two 64-bit words for each pair (entity, number).
SNNRUN_INLINE void blocks(Key key, const uint64_t* entity, const uint64_t* number, int count, uint64_t* __restrict first,
                          uint64_t* __restrict second) {
  uint32_t c0[BATCH], c1[BATCH], c2[BATCH], c3[BATCH];
  const int rounded = (count + 15) / 16 * 16;
  for (int i = 0; i < count; ++i) {
    c0[i] = static_cast<uint32_t>(number[i]), c1[i] = static_cast<uint32_t>(number[i] >> 32);
    c2[i] = static_cast<uint32_t>(entity[i]), c3[i] = static_cast<uint32_t>(entity[i] >> 32);
  }
  for (int i = count; i < rounded; ++i) c0[i] = c1[i] = c2[i] = c3[i] = 0;
  for (int i = 0; i < rounded; i += 16) philox<16>(key, c0 + i, c1 + i, c2 + i, c3 + i);
  for (int i = 0; i < count; ++i) {
    first[i] = c0[i] | static_cast<uint64_t>(c1[i]) << 32;
    if (second) second[i] = c2[i] | static_cast<uint64_t>(c3[i]) << 32;
  }
}

// floor(word * n / 2**64)
SNNRUN_INLINE uint32_t below(uint64_t word, uint64_t n) {
  return static_cast<uint32_t>(((word >> 32) * n + (((word & 0xFFFFFFFFu) * n) >> 32)) >> 32);
}

SNNRUN_INLINE double uniform(uint64_t word) {
  const double value = (static_cast<double>(static_cast<int64_t>(word >> 11)) + 0.5) * 0x1p-53;
  return std::min(value, 1.0 - 0x1p-53);
}

constexpr double LN2_HIGH = 6.93147180369123816490e-01, LN2_LOW = 1.90821492927058770002e-10;

SNNRUN_INLINE double two_atanh(double s) {
  const double z = s * s;
  double series = 0.0;
  for (int n = 23; n > 1; n -= 2) series = (series + 1.0 / n) * z;
  return 2.0 * (s + s * series);
}

// Natural logarithm of a normal positive number.
SNNRUN_INLINE double natural_log(double x) {
  uint64_t bits;
  std::memcpy(&bits, &x, 8);
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1022;
  bits = (bits & 0x000FFFFFFFFFFFFFu) | 0x3FE0000000000000u;  // 1/2 <= mantissa < 1
  double mantissa;
  std::memcpy(&mantissa, &bits, 8);
  const bool low = mantissa < 0.70710678118654757;  // sqrt(1/2)
  mantissa = low ? mantissa * 2.0 : mantissa;
  const double k = static_cast<double>(static_cast<int32_t>(exponent - low));
  return k * LN2_HIGH + (k * LN2_LOW + two_atanh((mantissa - 1.0) / (mantissa + 1.0)));
}

inline double exponential(double x) {
  const double k = std::floor(x * 1.4426950408889634 + 0.5);
  const double r = (x - k * LN2_HIGH) - k * LN2_LOW;
  double series = 1.0;
  for (int n = 16; n > 0; --n) series = 1.0 + series * r / n;
  return std::ldexp(series, static_cast<int>(k));
}

// Wichura's algorithm AS 241 (Appl. Statist. 37, 1988), PPND16.
constexpr double CENTRE[2][8] = {
    {2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457, 13731.693765509461125,
     1971.5909503065514427, 133.14166789178437745, 3.3871328727963666080},
    {5226.4952788528545610, 28729.085735721942674, 39307.895800092710610, 21213.794301586595867, 5394.1960214247511077,
     687.18700749205790830, 42.313330701600911252, 1.0}};
constexpr double MIDDLE[2][8] = {
    {7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258,
     3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734},
    {1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940, 2.05319162663775882187, 1.0}};
constexpr double TAIL[2][8] = {
    {2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720},
    {2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0}};

SNNRUN_INLINE double ratio(double r, const double (&c)[2][8]) {
  double top = c[0][0], bottom = c[1][0];
  for (int i = 1; i < 8; ++i) top = top * r + c[0][i], bottom = bottom * r + c[1][i];
  return top / bottom;
}

// The z with P(Z < z) = p for a standard normal Z, for each p; at most BATCH of them.
SNNRUN_INLINE void normal_quantiles(const double* __restrict p, int count, double* __restrict z) {
  int outside[BATCH], far = 0;
  double tail[BATCH];
  for (int i = 0; i < count; ++i) {
    const double q = p[i] - 0.5;
    z[i] = q * ratio(0.180625 - q * q, CENTRE);
  }
  for (int i = 0; i < count; ++i) {  // those in the tails, put together so that they are treated side by side
    outside[far] = i;
    tail[far] = p[i];
    far += std::fabs(p[i] - 0.5) > 0.425;
  }
  double value[BATCH];
  for (int i = 0; i < far; ++i) {
    const double r = std::sqrt(-natural_log(tail[i] - 0.5 < 0 ? tail[i] : 1.0 - tail[i]));
    tail[i] = r;
    value[i] = ratio(r - 1.6, MIDDLE);
  }
  for (int i = 0; i < far; ++i) {
    if (tail[i] > 5.0) value[i] = ratio(tail[i] - 5.0, TAIL);
    z[outside[i]] = p[outside[i]] - 0.5 < 0 ? -value[i] : value[i];
  }
}

enum LawKind : int32_t { NORMAL, UNIFORM, LOGNORMAL, EXPONENTIAL, GAMMA };

// A distribution. first and second: mean and standard deviation (normal), low and high (uniform), mu and sigma of the logarithm
// (lognormal), mean (exponential), shape and scale (gamma).
struct Law {
  LawKind kind;
  int32_t redraws, clips;
  Key key;
  int32_t unused;
  double first, second;
  double redraw_low, redraw_high, clip_low, clip_high;
};

namespace detail {

// One attempt of Marsaglia & Tsang (ACM TOMS 26, 2000).
inline bool gamma_attempt(const Law& law, uint64_t word, uint64_t other, uint64_t entity, uint64_t number, double* value) {
  const double k = law.first, d = (k < 1.0 ? k + 1.0 : k) - 1.0 / 3.0;
  double p = uniform(word), x;
  normal_quantiles(&p, 1, &x);
  const double u = uniform(other), root = 1.0 + x / (3.0 * std::sqrt(d)), cube = root * root * root;
  const bool positive = cube > 0;
  const double v = positive ? cube : 1.0;
  const bool accepted = positive && natural_log(u) < 0.5 * x * x + d - d * v + d * natural_log(v);
  *value = d * v * law.second;
  if (k < 1.0) {
    uint64_t extra, again = number | 1ull << (ATTEMPT - 1);
    blocks(law.key, &entity, &again, 1, &extra, nullptr);
    *value = *value * exponential(std::max(natural_log(uniform(extra)) / k, -690.0));
  }
  return accepted;
}

SNNRUN_INLINE void attempt(const Law& law, const uint64_t* entity, const uint64_t* number, int count, double* values, bool* accepted) {
  uint64_t first[BATCH], second[BATCH];
  double p[BATCH];
  blocks(law.key, entity, number, count, first, second);
  for (int i = 0; i < count; ++i) p[i] = uniform(first[i]);
  switch (law.kind) {
    case NORMAL:
      normal_quantiles(p, count, values);
      for (int i = 0; i < count; ++i) values[i] = law.first + law.second * values[i];
      break;
    case UNIFORM:
      for (int i = 0; i < count; ++i) values[i] = law.first + (law.second - law.first) * p[i];
      break;
    case LOGNORMAL:
      normal_quantiles(p, count, values);
      for (int i = 0; i < count; ++i) values[i] = exponential(law.first + law.second * values[i]);
      break;
    case EXPONENTIAL:
      for (int i = 0; i < count; ++i) values[i] = -law.first * natural_log(p[i]);
      break;
    case GAMMA:
      for (int i = 0; i < count; ++i) {
        accepted[i] = gamma_attempt(law, first[i], second[i], entity[i], number[i], values + i);
      }
      break;
  }
  if (law.kind != GAMMA) std::fill(accepted, accepted + count, true);
  if (law.redraws) {
    for (int i = 0; i < count; ++i) accepted[i] = accepted[i] && values[i] >= law.redraw_low && values[i] <= law.redraw_high;
  }
}

}  // namespace detail

// One value for each of at most BATCH pairs (entity, number); false where bounds were not met in MAX_ATTEMPTS attempts.
SNNRUN_HOT inline bool draw(const Law& law, const uint64_t* entity, const uint64_t* number, int count, double* values) {
  bool accepted[BATCH];
  detail::attempt(law, entity, number, count, values, accepted);
  int open[BATCH], left = 0;
  for (int i = 0; i < count; ++i) {
    if (!accepted[i]) open[left++] = i;
  }
  for (uint64_t tries = 1; left; ++tries) {
    if (tries == MAX_ATTEMPTS) return false;
    uint64_t e[BATCH], n[BATCH];
    double v[BATCH];
    for (int i = 0; i < left; ++i) e[i] = entity[open[i]], n[i] = number[open[i]] + (tries << ATTEMPT);
    detail::attempt(law, e, n, left, v, accepted);
    int still = 0;
    for (int i = 0; i < left; ++i) {
      values[open[i]] = v[i];
      if (!accepted[i]) open[still++] = open[i];
    }
    left = still;
  }
  if (law.clips) {
    for (int i = 0; i < count; ++i) values[i] = std::min(std::max(values[i], law.clip_low), law.clip_high);
  }
  return true;
}

}  // namespace snnrun
