// Unit tests of the headers, without XLA: cmake -DSNNRUN_TESTS=ON, then run snnrun_tests. Wherever possible the truth is a loop
// that does slowly what is documented. Memory is allocated to the byte, so that the address sanitizer sees what lies beyond it.
//
//   snnrun_tests [--list] [--seed N] [part of a test's name ...]

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "deliver.hpp"

namespace {

using namespace snnrun;

// ---- a few means of testing ---------------------------------------------------------------------------------------------------

struct Failed {};

struct Part {  // of a message; no template and no string, which at every check would take the compiler long
  enum { TEXT, WHOLE, REAL } kind;
  const char* text = nullptr;
  __extension__ __int128 whole = 0;
  double real = 0;
  Part(const char* t) : kind(TEXT), text(t) {}
  Part(const std::string& t) : kind(TEXT), text(t.c_str()) {}
  Part(double x) : kind(REAL), real(x) {}
  template <class Integer, std::enable_if_t<std::is_integral_v<Integer> || std::is_enum_v<Integer>, int> = 0>
  Part(Integer i) : kind(WHOLE), whole(i) {}
};
std::ostream& operator<<(std::ostream& out, const Part& part) {
  if (part.kind == Part::TEXT) return out << part.text;
  if (part.kind == Part::REAL) return out << part.real;
  return part.whole < 0 ? out << static_cast<int64_t>(part.whole) : out << static_cast<uint64_t>(part.whole);
}

[[noreturn]] void fail(int line, const char* condition, std::initializer_list<Part> parts) {
  std::ostringstream text;
  text.precision(17);
  text << "  line " << line << ": " << condition << " is false: ";
  for (const Part& part : parts) text << part;
  std::cout << text.str() + "\n";
  throw Failed();
}
#define CHECK(condition, ...) ((condition) ? void() : fail(__LINE__, #condition, {__VA_ARGS__}))

struct Test {
  const char *name, *checks;
  void (*run)();
};
std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}
#define TEST(name, checks)                                                     \
  void name();                                                                 \
  const bool name##_listed = (tests().push_back({#name, checks, name}), true); \
  void name()

thread_local std::mt19937_64 bits;  // the same sequence everywhere; each test starts it anew

int64_t between(int64_t low, int64_t high) { return low + static_cast<int64_t>(bits() % static_cast<uint64_t>(high - low + 1)); }
bool coin(double p = 0.5) { return static_cast<double>(bits() >> 11) * 0x1p-53 < p; }
template <class Container>
int64_t length(const Container& items) {
  return static_cast<int64_t>(items.size());
}
template <class T>
T one_of(std::initializer_list<T> items) {
  return items.begin()[between(0, length(items) - 1)];
}
template <class T>
const T* pointer(const std::vector<T>& v) {  // null where there is nothing
  return v.empty() ? nullptr : v.data();
}
Key any_key() { return {static_cast<uint32_t>(bits()), static_cast<uint32_t>(bits())}; }
// Words with runs of zeros and ones in them, where carries and comparisons have their corners.
uint64_t any_word() {
  const uint64_t word = bits();
  switch (between(0, 5)) {
    case 0: return word & bits() & bits() & bits();
    case 1: return word | bits() | bits() | bits();
    case 2: return word << between(0, 63);
    case 3: return ~0ull << between(0, 63) ^ (word & 1);
    default: return word;
  }
}

// `count` different places below `size`: a run, a few runs, ascending, or in disorder.
std::vector<int32_t> places(int64_t count, int64_t size) {
  std::vector<int32_t> all(size);
  std::iota(all.begin(), all.end(), 0);
  const int64_t kind = between(0, 3), first = between(0, size - count);
  if (kind == 2) std::rotate(all.begin(), all.begin() + between(0, size - 1), all.end());
  if (kind == 2 && count < size) all.erase(all.begin() + between(0, count));
  if (kind == 0) return {all.begin() + first, all.begin() + first + count};
  if (kind == 2) return {all.begin(), all.begin() + count};
  std::shuffle(all.begin(), all.end(), bits);
  std::vector<int32_t> some(all.begin(), all.begin() + count);
  if (kind == 1) std::sort(some.begin(), some.end());
  return some;
}

// Increasing cuts 0 ... size into at most `parts` parts.
std::vector<int64_t> cuts(int64_t parts, int64_t size) {
  std::set<int64_t> some{0, size};
  for (int64_t i = 1; i < parts; ++i) some.insert(between(0, size));
  return {some.begin(), some.end()};
}

bool same(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

// ---- Philox, and words of noise -----------------------------------------------------------------------------------------------

struct Known {
  uint32_t counter[4], key[2], words[4];
};
const Known KNOWN[] = {
    // of the Random123 library
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

// One block of words, by way of `blocks`, which the known answers hold for.
void block_of(Key key, uint64_t entity, uint64_t number, uint64_t* first, uint64_t* second) {
  blocks(key, &entity, &number, 1, first, second);
}
uint64_t word_of(Key key, uint64_t entity, uint64_t number) {  // word `number` of the sequence of an entity
  uint64_t first, second;
  block_of(key, entity, number / 2, &first, &second);
  return number % 2 ? second : first;
}

TEST(philox_known_answers, "Philox gives the published words in every lane; `blocks` takes (number, entity) as counter") {
  for (const Known& known : KNOWN) {
    const Key key{known.key[0], known.key[1]};
    uint32_t c[4][32];
    for (int word = 0; word < 4; ++word) std::fill(c[word], c[word] + 32, known.counter[word]);
    philox<32>(key, c[0], c[1], c[2], c[3]);
    for (int lane = 0; lane < 32; ++lane) {
      for (int word = 0; word < 4; ++word) {
        CHECK(c[word][lane] == known.words[word], "word ", word, " of lane ", lane, " is ", c[word][lane]);
      }
    }
    const auto pair = [](const uint32_t* w) { return w[0] | static_cast<uint64_t>(w[1]) << 32; };
    uint64_t first, second;
    block_of(key, pair(known.counter + 2), pair(known.counter), &first, &second);
    CHECK(first == pair(known.words) && second == pair(known.words + 2), first, " and ", second);
  }
}

TEST(philox_lanes, "A block does not depend on how many are drawn with it, nor on whether the second words are wanted") {
  const Key key = any_key();
  for (const int count : {1, 2, 15, 16, 17, 255, BATCH}) {
    std::vector<uint64_t> entity(count), number(entity), first(entity), second(entity), alone(entity);
    for (auto& e : entity) e = any_word();
    for (auto& n : number) n = any_word();
    blocks(key, entity.data(), number.data(), count, first.data(), second.data());
    blocks(key, entity.data(), number.data(), count, alone.data(), nullptr);
    for (size_t i = 0; i < entity.size(); ++i) {
      uint64_t a, b;
      block_of(key, entity[i], number[i], &a, &b);
      CHECK(first[i] == a && second[i] == b && alone[i] == a, "block ", i, " of ", count);
    }
  }
}

uint32_t noise_word(Key key, uint64_t step, int64_t neuron) {  // as documented
  uint64_t first, second;
  block_of(key, static_cast<uint64_t>(neuron / 256 * 64 + neuron % 64), step, &first, &second);
  const uint64_t pair = neuron % 256 / 64 < 2 ? first : second;
  return static_cast<uint32_t>(neuron % 128 < 64 ? pair : pair >> 32);
}

using TileWords = void (*)(Key, uint64_t, uint32_t, uint32_t*);
using TileCounts = void (*)(const uint32_t*, const uint32_t*, int64_t, int32_t*);

void counts_plain(const uint32_t* words, const uint32_t* table, int64_t thresholds, int32_t* counts) {
  tile_counts_plain(words, table, thresholds, 0, TILE, counts);
}
void counts_chosen(const uint32_t* words, const uint32_t* table, int64_t thresholds, int32_t* counts) {
  tile_counts(words, table, thresholds, 0, TILE, counts);
}

template <class Function>
struct Variant {
  const char* name;
  Function function;
};

std::vector<Variant<TileWords>> words_variants() {
  std::vector<Variant<TileWords>> all{{"plain", tile_words_plain}, {"the chosen one", tile_words}};
#ifdef SNNRUN_X86
  if (__builtin_cpu_supports("avx512f")) all.push_back({"512 bits", tile_words_512});
  if (__builtin_cpu_supports("avx2")) all.push_back({"256 bits", tile_words_256});
#endif
  return all;
}

std::vector<Variant<TileCounts>> counts_variants() {
  std::vector<Variant<TileCounts>> all{{"plain", counts_plain}, {"the chosen one", counts_chosen}};
#ifdef SNNRUN_X86
  if (__builtin_cpu_supports("avx512f")) all.push_back({"512 bits", tile_counts_512});
  if (__builtin_cpu_supports("avx2")) all.push_back({"256 bits", tile_counts_256});
#endif
  return all;
}

TEST(noise_words, "Every variant of tile_words gives the documented word of each neuron of a tile, also late and far away") {
  for (int trial = 0; trial < 60; ++trial) {
    const Key key = trial == 0 ? Key{~0u, ~0u} : any_key();
    const uint64_t step = any_word();
    const int64_t tile = trial % 3 == 0 ? between(0, 3) : trial % 3 == 1 ? (1 << 26) - 1 : between(0, (1 << 26) - 1);
    for (const auto& variant : words_variants()) {
      std::vector<uint32_t> words(TILE);
      variant.function(key, step, static_cast<uint32_t>(tile * 64), words.data());
      for (int i = 0; i < TILE; ++i) {
        CHECK(words[i] == noise_word(key, step, tile * TILE + i), variant.name, ", neuron ", i, " of tile ", tile);
      }
    }
  }
}

TEST(noise_words_of_a_step, "step_words gives the words of any range of neurons, and writes no more") {
  for (int trial = 0; trial < 200; ++trial) {
    const Key key = any_key();
    const uint64_t step = bits() >> between(0, 63);
    const int64_t first = between(0, 600), size = between(1, 600);
    std::vector<uint32_t> words(size);
    step_words(key, step, first, size, words.data());
    for (int64_t i = 0; i < size; ++i) {
      CHECK(words[i] == noise_word(key, step, first + i), "neuron ", first, " + ", i);
    }
  }
}

std::vector<uint32_t> any_table(int64_t thresholds) {  // ascending
  std::vector<uint32_t> table(thresholds);
  for (auto& t : table) t = static_cast<uint32_t>(any_word() >> 32);
  for (const uint32_t extreme : {0u, 1u, 0xFFFFFFFEu, 0xFFFFFFFFu}) {
    if (thresholds && coin(0.3)) table[between(0, thresholds - 1)] = extreme;
  }
  std::sort(table.begin(), table.end());
  return table;
}

TEST(noise_counts, "Every variant of tile_counts counts the thresholds that do not exceed a word, including the extremes") {
  for (int trial = 0; trial < 300; ++trial) {
    const std::vector<uint32_t> table = any_table(one_of<int64_t>({0, 1, 2, 3, 7, 30}));
    std::vector<uint32_t> words(TILE);
    for (auto& word : words) {
      word = static_cast<uint32_t>(any_word() >> 32);
      if (!table.empty() && coin(0.4)) word = table[bits() % table.size()] + static_cast<uint32_t>(between(-1, 1));
    }
    for (const auto& variant : counts_variants()) {
      std::vector<int32_t> counts(TILE);
      variant.function(words.data(), pointer(table), length(table), counts.data());
      for (size_t i = 0; i < TILE; ++i) {
        const auto expected = std::count_if(table.begin(), table.end(), [&](uint32_t t) { return t <= words[i]; });
        CHECK(counts[i] == expected, variant.name, ", word ", words[i], ": ", counts[i], ", not ", expected);
      }
    }
  }
}

TEST(noise_counts_of_columns, "Each neuron may have thresholds of its own, of which the largest is never reached") {
  for (int trial = 0; trial < 100; ++trial) {
    const int64_t thresholds = between(1, 5), stride = between(1, 300), count = std::min<int64_t>(stride, between(1, TILE));
    std::vector<uint32_t> table(thresholds * stride), words(count);
    for (auto& t : table) t = coin(0.2) ? 0xFFFFFFFFu : static_cast<uint32_t>(any_word() >> 32);
    for (auto& word : words) word = coin(0.2) ? 0xFFFFFFFFu : static_cast<uint32_t>(any_word() >> 32);
    for (const bool plain : {true, false}) {
      std::vector<int32_t> counts(count);
      (plain ? tile_counts_plain : tile_counts)(words.data(), table.data(), thresholds, stride, static_cast<int>(count),
                                                counts.data());
      for (int64_t i = 0; i < count; ++i) {
        int32_t expected = 0;
        for (int64_t m = 0; m < thresholds; ++m) {
          const uint32_t t = table[m * stride + i];
          expected += t != 0xFFFFFFFFu && t <= words[i];
        }
        CHECK(counts[i] == expected, "neuron ", i, ": ", counts[i], ", not ", expected);
      }
    }
  }
}

struct AnyNoise {  // with the memory it points to
  Noise noise{};
  std::vector<uint32_t> table, rows, copies;
  std::vector<int64_t> weight, changes;
  std::vector<uint64_t> places;
};

// Thresholds that change with the steps, and maybe neurons that copy the events of one train.
void any_course(AnyNoise& made) {
  Noise& n = made.noise;
  const bool wave = coin();
  const int64_t rows = wave ? 4096 : between(1, 5), thresholds = between(1, 6);
  const auto append = [](std::vector<uint32_t>& to, int64_t real, int64_t length) {
    const std::vector<uint32_t> row = any_table(real);
    for (int64_t m = 0; m < length; ++m) to.push_back(m < real ? row[m] : 0xFFFFFFFFu);
  };
  for (int64_t r = 0; r <= rows; ++r) append(made.rows, between(0, thresholds), thresholds);
  n.course.rows = made.rows.data(), n.course.thresholds = thresholds;
  if (wave) {
    n.course.phase = static_cast<uint64_t>(between(0, INT64_MAX - 1)) << 1;
    n.course.turn = static_cast<uint64_t>(between(0, INT64_MAX - 1)) << 1;
  } else {
    for (int64_t at = n.first_step + between(-3, 3), left = between(0, 4); left > 0; --left, at += between(1, 9)) {
      made.changes.push_back(at);
    }
    for (size_t i = 0; i <= made.changes.size(); ++i) {
      const int64_t part = coin() ? between(0, 0xFFFFF) : 0;
      made.places.push_back(static_cast<uint64_t>(between(0, rows - 1)) << 52 | static_cast<uint64_t>(part) << 32);
    }
    made.changes.push_back(INT64_MAX), made.places.push_back(0);  // so that there is one
    n.course.changes = made.changes.data(), n.course.places = made.places.data(), n.course.count = length(made.changes);
  }
  if (!coin()) return;
  n.events = thresholds, n.mother = any_key();
  for (int64_t events = 0; events <= n.events; ++events) append(made.copies, events, n.events);
  n.copies = made.copies.data();
}

std::unique_ptr<AnyNoise> any_noise(int64_t targets, int64_t first_step) {
  auto made = std::make_unique<AnyNoise>();
  Noise& n = made->noise;
  n.target = between(0, targets - 1);
  n.start = between(0, std::min<int64_t>(targets - n.target - 1, 300));
  n.stop = between(n.start + 1, targets - n.target);
  n.begin = n.start, n.end = n.stop;
  n.thresholds = between(1, 6);
  n.per_neuron = coin();
  const int64_t columns = n.per_neuron ? n.stop - n.start : 1;
  made->table.resize(n.thresholds * columns);
  for (int64_t i = 0; i < columns; ++i) {
    const std::vector<uint32_t> column = any_table(n.thresholds);
    for (int64_t m = 0; m < n.thresholds; ++m) made->table[m * columns + i] = column[m];
  }
  n.weights = coin() ? 1 : n.stop - n.start;
  const int64_t most = coin() ? 1000 : 1ll << 50;
  for (int64_t i = 0; i < n.weights; ++i) made->weight.push_back(between(-most, most));
  if (coin(0.1)) made->weight[0] = one_of<int64_t>({0, INT32_MAX, INT32_MIN, 1ll + INT32_MAX, INT32_MIN - 1ll});
  n.first_step = first_step + between(0, 3);
  n.last_step = n.first_step + between(0, 30);
  n.delay = between(0, 4);
  n.key = any_key();
  n.table = made->table.data(), n.weight = made->weight.data();
  if (!n.per_neuron && coin()) any_course(*made);
  return made;
}

// Adds, to sums of all targets, what the noise sends so that it arrives in a step.
void add_noise_slowly(const Noise& n, int64_t step, std::vector<int64_t>& sums) {
  const int64_t sent = step - n.delay;
  if (sent < n.first_step || sent >= n.last_step) return;
  std::vector<uint32_t> now;
  if (n.course.rows) {
    const Course& c = n.course;
    uint64_t place = c.phase + c.turn * static_cast<uint64_t>(sent);
    if (c.changes) {
      int64_t past = 0;
      while (past < c.count && c.changes[past] <= sent) ++past;
      place = c.places[past];
    }
    const int64_t row = static_cast<int64_t>(place >> 52), part = static_cast<int64_t>(place >> 32 & 0xFFFFF);
    for (int64_t m = 0; m < c.thresholds; ++m) {
      const int64_t low = c.rows[row * c.thresholds + m], high = c.rows[(row + 1) * c.thresholds + m], more = (high - low) * part;
      now.push_back(static_cast<uint32_t>(low + (more - ((more % (1 << 20) + (1 << 20)) % (1 << 20))) / (1 << 20)));
    }
  }
  const auto reached = [](const std::vector<uint32_t>& thresholds, uint32_t word) {
    return std::count_if(thresholds.begin(), thresholds.end(), [&](uint32_t t) { return t <= std::min(word, 0xFFFFFFFEu); });
  };
  if (n.copies) {
    const int64_t events = reached(now, noise_word(n.mother, static_cast<uint64_t>(sent), 0));
    now.assign(n.copies + events * n.events, n.copies + (events + 1) * n.events);
  }
  for (int64_t i = n.begin; i < n.end; ++i) {
    const uint32_t word = noise_word(n.key, static_cast<uint64_t>(sent), i);
    if (n.course.rows) {
      sums[n.target + i] += reached(now, word) * n.weight[n.weights == 1 ? 0 : i - n.start];
      continue;
    }
    int64_t count = 0;
    for (int64_t m = 0; m < n.thresholds; ++m) {
      const uint32_t t = n.table[n.per_neuron ? m * (n.stop - n.start) + i - n.start : m];
      count += t <= word && !(n.per_neuron && t == 0xFFFFFFFFu);
    }
    sums[n.target + i] += count * n.weight[n.weights == 1 ? 0 : i - n.start];
  }
}

TEST(noise_in_parts, "add_noise adds the counts times the weights, however the targets are cut, within its window of steps") {
  for (int trial = 0; trial < 150; ++trial) {
    const int64_t targets = between(1, 1100), first_step = one_of<int64_t>({0, 7, 1ll << 33});
    const auto made = any_noise(targets, first_step);
    const int64_t last = made->noise.last_step + made->noise.delay;
    for (const int64_t step :
         {first_step, made->noise.first_step + made->noise.delay - 1, between(first_step, last), last - 1, last}) {
      std::vector<int64_t> expected(targets);
      for (auto& sum : expected) sum = between(-1000, 1000);
      const std::vector<int64_t> before = expected, ends = cuts(between(1, 5), targets);
      add_noise_slowly(made->noise, step, expected);
      for (size_t s = 0; s + 1 < ends.size(); ++s) {
        std::vector<int64_t> sums(before.begin() + ends[s], before.begin() + ends[s + 1]);
        sums.shrink_to_fit();
        add_noise(made->noise, step, ends[s], ends[s + 1], sums.data());
        for (int64_t t = ends[s]; t < ends[s + 1]; ++t) {
          const int64_t got = sums[t - ends[s]], wanted = expected[t];
          CHECK(got == wanted, "target ", t, " of ", ends[s], " ... ", ends[s + 1], " in step ", step, ": ", got, ", not ",
                wanted);
        }
      }
    }
  }
}

// ---- numbers and laws ---------------------------------------------------------------------------------------------------------

TEST(law_below, "below(word, n) is floor(word n / 2**64)") {
  for (int trial = 0; trial < 200000; ++trial) {
    const uint64_t word = any_word(), n = any_word() >> 32;
    __extension__ using Wide = unsigned __int128;
    const auto expected = static_cast<uint32_t>(static_cast<Wide>(word) * n >> 64);
    CHECK(below(word, n) == expected, "word ", word, ", n ", n, ": ", below(word, n), ", not ", expected);
  }
}

TEST(law_uniform, "uniform lies strictly between 0 and 1, does not decrease, and keeps 53 bits") {
  CHECK(same(uniform(0), 0x1p-54), uniform(0));
  CHECK(same(uniform(~0ull), 1.0 - 0x1p-53), uniform(~0ull));
  CHECK(same(uniform(1ull << 11), 3 * 0x1p-54), uniform(1ull << 11));
  for (int trial = 0; trial < 100000; ++trial) {
    uint64_t a = any_word(), b = coin() ? any_word() : a + static_cast<uint64_t>(between(0, 1 << 13));
    if (a > b) std::swap(a, b);
    CHECK(uniform(a) > 0 && uniform(b) < 1 && uniform(a) <= uniform(b), a, " and ", b);
    const long double exact = (static_cast<long double>(a >> 11) + 0.5L) * 0x1p-53L;
    CHECK(std::fabs(static_cast<double>(uniform(a) - exact)) <= 0x1p-54, a, ": ", uniform(a));
  }
}

double log_of(double x) { return natural_log(x); }
double quantile_of(double p) {
  double z;
  normal_quantiles(&p, 1, &z);
  return z;
}
double uniform_of(uint64_t word) { return uniform(word); }

// How much larger than `unit` in proportion a difference is.
double off(double got, long double exact) {
  if (exact == 0) return got == 0 ? 0 : INFINITY;
  return static_cast<double>(std::fabs((got - exact) / exact));
}

TEST(law_logarithm, "natural_log agrees with the library's to 1e-15 in proportion, on all normal numbers and close to 1") {
  for (int trial = 0; trial < 200000; ++trial) {
    double x;
    if (trial % 2) {
      x = std::ldexp(1.0 + static_cast<double>(bits() >> 12) * 0x1p-52, static_cast<int>(between(-1022, 1023)));
    } else {
      x = 1.0 + std::ldexp(static_cast<double>(between(-(1 << 20), 1 << 20)), -static_cast<int>(between(21, 52)));
    }
    CHECK(off(log_of(x), std::log(static_cast<long double>(x))) < 1e-15, "log(", x, ") = ", log_of(x), ", not ", std::log(x));
  }
}

TEST(law_exponential_function, "exponential agrees with the library's to 1e-15 in proportion") {
  for (int trial = 0; trial < 200000; ++trial) {
    const double x = static_cast<double>(between(-(1ll << 52), 1ll << 52)) * 0x1p-52 * one_of<double>({700.0, 20.0, 1.0, 1e-6});
    CHECK(off(exponential(x), std::exp(static_cast<long double>(x))) < 1e-15, "exp(", x, ") = ", exponential(x), ", not ",
          std::exp(x));
  }
}

// The quantile by Newton's method on the library's erfc, from a start that is close already.
long double exact_quantile(double p, double start) {
  const bool upper = p > 0.5;
  const long double tail = upper ? 1.0L - p : p, root_half = std::sqrt(0.5L), root_tau = std::sqrt(2.0L * std::acos(-1.0L));
  long double z = -std::fabs(static_cast<long double>(start));
  for (int i = 0; i < 4; ++i) z -= (0.5L * std::erfc(-z * root_half) - tail) * root_tau * std::exp(0.5L * z * z);
  return upper ? -z : z;
}

TEST(law_normal_quantile, "normal_quantiles inverts the library's erfc to 2e-15, in all three regions and at their seams") {
  for (int trial = 0; trial < 50000; ++trial) {
    double p = uniform_of(any_word());
    if (trial % 4 == 0) p = std::ldexp(p, -static_cast<int>(between(0, 53)));
    if (trial % 4 == 1) p = one_of<double>({0.075, 0.925, std::exp(-25.0)}) + static_cast<double>(between(-50, 50)) * 1e-17;
    if (trial < 2) p = uniform_of(trial ? ~0ull : 0);
    if (p <= 0 || p >= 1) continue;
    const double z = quantile_of(p);
    const long double exact = exact_quantile(p, z);
    CHECK(off(z, exact) < 2e-15 || std::fabs(static_cast<double>(z - exact)) < 1e-16, "of ", p, ": ", z, ", not ",
          static_cast<double>(exact));
  }
  std::vector<double> p(BATCH), z(BATCH);  // and the neighbours do not matter
  for (auto& value : p) value = uniform_of(any_word());
  normal_quantiles(p.data(), BATCH, z.data());
  for (size_t i = 0; i < BATCH; ++i) CHECK(same(z[i], quantile_of(p[i])), "number ", i);
}

Law any_law(LawKind kind) {
  Law law{};
  law.kind = kind, law.key = any_key();
  law.first = one_of<double>({0.4, 1.0, 3.0, 20.0}), law.second = one_of<double>({0.25, 1.0, 5.0});
  if (kind == UNIFORM) law.second += law.first;
  if (kind == LOGNORMAL) law.second = 0.4;
  return law;
}
const LawKind LAWS[] = {NORMAL, UNIFORM, LOGNORMAL, EXPONENTIAL, GAMMA};

// One attempt by the textbook's formula, with the library's functions; whether it was accepted.
bool attempt_slowly(const Law& law, uint64_t entity, uint64_t number, double* value) {
  uint64_t first, second;
  block_of(law.key, entity, number, &first, &second);
  const double u = uniform_of(first), z = quantile_of(u);
  switch (law.kind) {
    case NORMAL: *value = law.first + law.second * z; return true;
    case UNIFORM: *value = law.first + (law.second - law.first) * u; return true;
    case LOGNORMAL: *value = std::exp(law.first + law.second * z); return true;
    case EXPONENTIAL: *value = -law.first * std::log(u); return true;
    default: break;
  }
  const double shape = law.first, d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, v = std::pow(1 + z / std::sqrt(9 * d), 3);
  *value = d * v * law.second;
  if (shape < 1) {
    block_of(law.key, entity, number | 1ull << 47, &first, nullptr);
    *value *= std::pow(uniform_of(first), 1 / shape);
  }
  return v > 0 && std::log(uniform_of(second)) < 0.5 * z * z + d - d * v + d * std::log(v);
}

TEST(law_values, "Each draw gives its first accepted attempt, from a block of its own, and depends on no other draw") {
  for (int trial = 0; trial < 100; ++trial) {
    Law law = any_law(LAWS[trial % 5]);
    const double middle = law.kind == LOGNORMAL ? std::exp(law.first) : law.kind == GAMMA ? law.first * law.second : law.first;
    if (coin()) law.redraws = 1, law.redraw_low = middle, law.redraw_high = middle * one_of<double>({1.5, 2.0, 1e9});
    if (coin(0.3)) law.clips = 1, law.clip_low = middle * 1.1, law.clip_high = middle * 1.2;
    const int count = one_of<int>({1, 15, 16, 100, BATCH});
    std::vector<uint64_t> entity(count), number(entity);
    for (auto& e : entity) e = bits() >> 30;
    for (auto& n : number) n = bits() >> 30;
    std::vector<double> values(count);
    CHECK(draw(law, entity.data(), number.data(), count, values.data()), "bounds are not met by law ", law.kind);
    for (size_t i = 0; i < entity.size(); ++i) {
      double wanted = 0;
      for (uint64_t tries = 0;; ++tries) {
        const bool accepted = attempt_slowly(law, entity[i], number[i] + (tries << 48), &wanted);
        if (accepted && !(law.redraws && (wanted < law.redraw_low || wanted > law.redraw_high))) break;
      }
      if (law.clips) wanted = std::min(std::max(wanted, law.clip_low), law.clip_high);
      CHECK(off(values[i], wanted) < 1e-12 || std::fabs(values[i] - wanted) < 1e-14, "law ", law.kind, ", draw ", i, ": ",
            values[i], ", not ", wanted);
      double alone;
      draw(law, &entity[i], &number[i], 1, &alone);
      CHECK(same(values[i], alone), "law ", law.kind, ": draw ", i, " of ", count, " depends on the others");
    }
  }
}

TEST(law_moments, "Draws have the mean and the variance of their distribution, within five standard errors") {
  for (const LawKind kind : LAWS) {
    for (const double shape : {0.3, 0.9, 4.0}) {
      Law law = any_law(kind);
      law.first = shape;
      if (kind == UNIFORM) law.second = shape + 2;
      const double a = law.first, b = law.second;
      double mean = a, variance = b * b;
      if (kind == UNIFORM) mean = (a + b) / 2, variance = (b - a) * (b - a) / 12;
      if (kind == LOGNORMAL) mean = std::exp(a + b * b / 2), variance = (std::exp(b * b) - 1) * mean * mean;
      if (kind == EXPONENTIAL) variance = a * a;
      if (kind == GAMMA) mean = a * b, variance = a * b * b;
      const int batches = 80;
      double sum = 0, squares = 0, fourth = 0;
      for (int batch = 0; batch < batches; ++batch) {
        uint64_t entity[BATCH], number[BATCH];
        double values[BATCH];
        for (int i = 0; i < BATCH; ++i) entity[i] = static_cast<uint64_t>(batch), number[i] = static_cast<uint64_t>(i);
        CHECK(draw(law, entity, number, BATCH, values), "law ", kind);
        for (const double value : values) {
          const double square = (value - mean) * (value - mean);
          sum += value, squares += square, fourth += square * square;
        }
      }
      const double n = batches * BATCH;
      CHECK(std::fabs(sum / n - mean) < 5 * std::sqrt(variance / n), "law ", kind, " of ", a, " and ", b, ": mean ", sum / n,
            ", not ", mean);
      const double error = std::sqrt((fourth / n - variance * variance) / n);
      CHECK(std::fabs(squares / n - variance) < 5 * error, "law ", kind, " of ", a, " and ", b, ": variance ", squares / n,
            ", not ", variance);
    }
  }
}

TEST(law_bounds, "Redrawn values lie within their bounds, ends included; those never met are told; clipping comes last") {
  uint64_t entity[BATCH], number[BATCH] = {};
  for (int i = 0; i < BATCH; ++i) entity[i] = static_cast<uint64_t>(i);
  for (const LawKind kind : LAWS) {
    Law law = any_law(kind);
    double values[BATCH], first[1];
    law.redraws = 1, law.redraw_low = law.first * 1.01, law.redraw_high = law.first * 1.2;
    if (kind == NORMAL) law.redraw_high = law.first + law.second;
    if (kind == LOGNORMAL) law.redraw_low = std::exp(law.first), law.redraw_high = 1.1 * law.redraw_low;
    if (kind == GAMMA) law.redraw_low = law.first * law.second, law.redraw_high = 1.3 * law.redraw_low;
    CHECK(draw(law, entity, number, BATCH, values), "law ", kind);
    for (const double value : values) CHECK(value >= law.redraw_low && value <= law.redraw_high, "law ", kind, ": ", value);
    law.clips = 1, law.clip_low = law.clip_high = -5.0;
    CHECK(draw(law, entity, number, BATCH, values), "law ", kind);
    for (const double value : values) CHECK(value == -5.0, "law ", kind, ": ", value, " is not clipped");
    law.redraw_low = law.redraw_high = -1e6;
    CHECK(!draw(law, entity, number, 1, first), "law ", kind, " meets impossible bounds");
  }
  Law law{};
  law.kind = UNIFORM, law.first = law.second = 0.25;  // always the same value, which is on both bounds
  law.redraws = 1, law.redraw_low = law.redraw_high = 0.25;
  double value;
  CHECK(draw(law, entity, number, 1, &value) && value == 0.25, value);
}

TEST(law_attempts, "A draw is attempted a thousand times, and not once more") {
  Law law{};
  law.kind = UNIFORM, law.first = 0.0, law.second = 1.0, law.key = {1, 2}, law.redraws = 1, law.redraw_high = 1.0;
  const uint64_t number = 3;
  std::set<int> seen;  // for different draws, the first attempt that exceeds a bound that 1 in 600 does
  for (uint64_t entity = 0; entity < 300; ++entity) {
    law.redraw_low = 1.0 - 1.0 / 600;
    int tries = 0;
    for (double u = 0; tries < 1100; ++tries) {
      uint64_t first;
      block_of(law.key, entity, number + (static_cast<uint64_t>(tries) << 48), &first, nullptr);
      if ((u = uniform_of(first)) >= law.redraw_low) break;
    }
    double value;
    CHECK(draw(law, &entity, &number, 1, &value) == (tries < 1000), "attempt ", tries, " is the first that fits");
    seen.insert(tries);
  }
  CHECK(*seen.rbegin() > 1000 && *seen.begin() < 1000, "nothing was tested");
}

// ---- connection rules ---------------------------------------------------------------------------------------------------------

struct Edge {
  int64_t source, target, weight, delay;
  std::tuple<int64_t, int64_t, int64_t, int64_t> all() const { return {source, target, weight, delay}; }
  bool operator<(const Edge& other) const { return all() < other.all(); }
  bool operator==(const Edge& other) const { return all() == other.all(); }
};
std::string text(const Edge& e) {
  std::ostringstream out;
  out << e.source << " -> " << e.target << " (weight " << e.weight << ", delay " << e.delay << ")";
  return out.str();
}

struct Draft {
  int64_t pre, post;
  uint64_t entity, number;
  bool operator==(const Draft& other) const {
    return pre == other.pre && post == other.post && entity == other.entity && number == other.number;
  }
};

struct AnyPathway {  // with the memory it points to
  Pathway p{};
  std::vector<int32_t> source, target, own, listed_pre, listed_post, delays;
  std::vector<double> weights;
  Law weight_law{}, delay_law{};
};

const Rule RULES[] = {LISTED, ALL_TO_ALL, FIXED_PROB, FIXED_INDEGREE, FIXED_OUTDEGREE, FIXED_TOTAL};
const char* const RULE_NAMES[] = {"listed", "all_to_all", "fixed_prob", "fixed_indegree", "fixed_outdegree", "fixed_total"};

enum class Weights { ONE, NARROW, WIDE };

// A pathway between some of the sources and some of the targets; delays from 0 to `longest` steps.
std::unique_ptr<AnyPathway> any_pathway(Rule rule, int64_t sources, int64_t targets, Weights weights, int64_t longest) {
  auto made = std::make_unique<AnyPathway>();
  Pathway& p = made->p;
  p.rule = rule, p.key = any_key();
  p.pre = between(1, std::min<int64_t>(sources, coin() ? 20 : 200)),
  p.post = between(1, std::min<int64_t>(targets, coin() ? 20 : 300));
  made->source = places(p.pre, sources), made->target = places(p.post, targets);
  const bool rows_are_targets = rule == FIXED_INDEGREE;
  const int64_t rows = rows_are_targets ? p.post : p.pre, there = rows_are_targets ? p.pre : p.post;
  if (rule != LISTED && coin() && there > 1) {
    for (int64_t row = 0; row < rows; ++row) made->own.push_back(coin(0.3) ? -1 : static_cast<int32_t>(between(0, there - 1)));
  }
  const int64_t candidates = there - !made->own.empty();
  p.multapses = coin();
  p.n = p.multapses ? between(0, one_of<int64_t>({3, 40, 600}))
                    : one_of<int64_t>({between(0, candidates), candidates / 2, candidates});
  if (rule == FIXED_TOTAL || rule == LISTED) p.multapses = 1, p.n = between(0, 2000);
  if (rule == FIXED_PROB) p.log_q = std::log1p(-one_of<double>({1e-12, 0.003, 0.1, 0.5, 0.97, 1.0 - 0x1p-53}));
  if (rule == LISTED) {
    for (int64_t i = 0; i < p.n; ++i) {
      made->listed_pre.push_back(static_cast<int32_t>(between(0, p.pre - 1)));
      made->listed_post.push_back(static_cast<int32_t>(between(0, p.post - 1)));
    }
  }
  p.per_quantum = weights == Weights::WIDE ? 0x1p30 : 0x1p10;
  p.weight = between(-1000, 1000);
  if (weights != Weights::ONE && rule == LISTED) {
    for (int64_t i = 0; i < p.n; ++i) made->weights.push_back(static_cast<double>(between(-(1ll << 30), 1ll << 30)) * 0x1p-12);
  } else if (weights != Weights::ONE) {
    made->weight_law = any_law(NORMAL);
    made->weight_law.first = 100, made->weight_law.second = 100, p.weight_law = &made->weight_law;
  }
  p.least_delay = longest ? between(0, 1) : 0;
  p.delay = between(0, longest), p.dt = 0.1;
  if (rule == LISTED && coin()) {
    for (int64_t i = 0; i < p.n; ++i) made->delays.push_back(static_cast<int32_t>(between(0, longest)));
  } else if (rule != LISTED && coin(0.6)) {
    made->delay_law = any_law(coin() ? NORMAL : UNIFORM);
    made->delay_law.first = 0.0, made->delay_law.second = 0.1 * static_cast<double>(longest);
    made->delay_law.redraws = 1, made->delay_law.redraw_low = -0.04,
    made->delay_law.redraw_high = 0.1 * static_cast<double>(longest);
    p.delay_law = &made->delay_law;
  }
  p.own = pointer(made->own), p.source = made->source.data(), p.target = made->target.data();
  p.listed_pre = pointer(made->listed_pre), p.listed_post = pointer(made->listed_post);
  p.weights = pointer(made->weights), p.delays = pointer(made->delays);
  return made;
}

// `edges_of_rows`, compiled once for all tests.
void each_batch(const Pathway& p, int64_t begin, int64_t end, const std::function<void(const Edges&)>& f) {
  edges_of_rows(p, begin, end, [&](const Edges& edges) {
    CHECK(edges.count > 0 && edges.count <= BATCH, "a batch of ", edges.count);
    f(edges);
  });
}

std::vector<Draft> drafts_of(const Pathway& p, int64_t begin, int64_t end) {
  std::vector<Draft> found;
  each_batch(p, begin, end, [&](const Edges& edges) {
    for (int i = 0; i < edges.count; ++i) found.push_back({edges.pre[i], edges.post[i], edges.entity[i], edges.number[i]});
  });
  return found;
}
std::vector<Draft> drafts_of(const Pathway& p) { return drafts_of(p, 0, rows_of(p)); }

// The same from the documented sequences of words, one at a time.
std::vector<Draft> drafts_slowly(const Pathway& p) {
  std::vector<Draft> found;
  const auto own = [&](int64_t row) { return p.own ? p.own[row] : int64_t{-1}; };
  const auto unsigned_ = [](int64_t i) { return static_cast<uint64_t>(i); };
  const bool to_targets = p.rule != FIXED_INDEGREE;
  const int64_t there = to_targets ? p.post : p.pre;
  for (int64_t row = 0; row < (p.rule == LISTED || p.rule == FIXED_TOTAL ? p.n : to_targets ? p.pre : p.post); ++row) {
    const uint64_t entity = unsigned_(row);
    const auto add = [&](int64_t other, int64_t number) {
      found.push_back({to_targets ? row : other, to_targets ? other : row, entity, unsigned_(number)});
    };
    if (p.rule == LISTED) {
      found.push_back({p.listed_pre[row], p.listed_post[row], entity, 0});
    } else if (p.rule == FIXED_TOTAL) {
      for (uint64_t tries = 0;; ++tries) {
        uint64_t one, two;
        block_of(p.key, entity, tries, &one, &two);
        const int64_t pre = below(one, unsigned_(p.pre)), post = below(two, unsigned_(p.post));
        if (own(pre) == post) continue;
        found.push_back({pre, post, entity, 0});
        break;
      }
    } else if (p.rule == ALL_TO_ALL) {
      for (int64_t post = 0; post < p.post; ++post) {
        if (post != own(row)) add(post, post);
      }
    } else if (p.rule == FIXED_PROB) {
      double post = -1;
      for (int64_t number = 0;; ++number) {
        post += 1 + std::floor(log_of(uniform_of(word_of(p.key, entity, unsigned_(number)))) / p.log_q);
        if (post >= static_cast<double>(p.post)) break;
        if (post != static_cast<double>(own(row))) add(static_cast<int64_t>(post), number);
      }
    } else {
      std::vector<int64_t> candidates;
      for (int64_t i = 0; i < there; ++i) {
        if (i != own(row)) candidates.push_back(i);
      }
      const int64_t size = length(candidates);
      const auto pick = [&](int64_t number) { return (below(word_of(p.key, entity, unsigned_(number)), unsigned_(size))); };
      if (p.multapses) {
        for (int64_t number = 0; number < p.n; ++number) add(candidates[pick(number)], number);
        continue;
      }
      const bool complement = 2 * p.n > size;
      std::vector<size_t> order;
      std::set<size_t> picked;
      for (int64_t number = 0; length(order) < (complement ? size - p.n : p.n); ++number) {
        if (const size_t one = pick(number); picked.insert(one).second) order.push_back(one);
      }
      if (complement) {
        order.clear();
        for (size_t i = 0; i < candidates.size(); ++i) {
          if (!picked.count(i)) order.push_back(i);
        }
      }
      for (size_t i = 0; i < order.size(); ++i) add(candidates[order[i]], static_cast<int64_t>(i));
    }
  }
  return found;
}

TEST(rules_as_documented, "Every rule gives the documented edges in their order, with the entity and number of their draws") {
  for (int trial = 0; trial < 120; ++trial) {
    const auto made = any_pathway(RULES[trial % 6], 300, 600, Weights::ONE, 5);
    const std::vector<Draft> found = drafts_of(made->p), wanted = drafts_slowly(made->p);
    for (size_t i = 0; i < std::min(found.size(), wanted.size()); ++i) {
      CHECK(found[i] == wanted[i], RULE_NAMES[trial % 6], ", edge ", i, ": ", found[i].pre, " -> ", found[i].post, ", not ",
            wanted[i].pre, " -> ", wanted[i].post, "; drawn as ", found[i].entity, ", ", found[i].number, ", not ",
            wanted[i].entity, ", ", wanted[i].number);
    }
    CHECK(found.size() == wanted.size(), RULE_NAMES[trial % 6], ": ", found.size(), " edges, not ", wanted.size());
  }
}

TEST(rules_in_parts, "The edges of some rows are the same whichever rows are drawn with them") {
  for (int trial = 0; trial < 120; ++trial) {
    const auto made = any_pathway(RULES[trial % 6], 300, 600, Weights::ONE, 5);
    std::vector<Draft> joined;
    const std::vector<int64_t> ends = cuts(between(1, 6), rows_of(made->p));
    for (size_t i = 0; i + 1 < ends.size(); ++i) {
      const std::vector<Draft> part = drafts_of(made->p, ends[i], ends[i + 1]);
      joined.insert(joined.end(), part.begin(), part.end());
    }
    CHECK(joined == drafts_of(made->p), RULE_NAMES[trial % 6]);
  }
}

TEST(rules_keep_their_promises, "Degrees are as asked for; no pair comes twice without multapses, nor an autapse where barred") {
  for (int trial = 0; trial < 240; ++trial) {
    const auto made = any_pathway(RULES[trial % 6], 300, 600, Weights::ONE, 5);
    const Pathway& p = made->p;
    const std::string name = RULE_NAMES[trial % 6];
    std::vector<int64_t> degree(by_target(p) ? p.post : p.pre);
    std::set<std::pair<int64_t, int64_t>> pairs;
    const std::vector<Draft> found = drafts_of(p);
    for (const Draft& d : found) {
      CHECK(d.pre >= 0 && d.pre < p.pre && d.post >= 0 && d.post < p.post, name, ": ", d.pre, " -> ", d.post);
      const int64_t row = by_target(p) ? d.post : d.pre, other = by_target(p) ? d.pre : d.post;
      ++degree[row];
      if (p.own) CHECK(p.own[row] != other, name, ": ", d.pre, " -> ", d.post, " is an autapse");
      const bool fresh = pairs.insert({d.pre, d.post}).second;
      const bool may_repeat =
          p.rule == LISTED || p.rule == FIXED_TOTAL || ((p.rule == FIXED_INDEGREE || p.rule == FIXED_OUTDEGREE) && p.multapses);
      CHECK(fresh || may_repeat, name, ": ", d.pre, " -> ", d.post, " comes twice");
    }
    for (size_t row = 0; row < degree.size(); ++row) {
      const int64_t barred = p.own && p.own[row] >= 0;
      const bool fixed = p.rule == FIXED_INDEGREE || p.rule == FIXED_OUTDEGREE;
      if (fixed) CHECK(degree[row] == p.n, name, ": row ", row, " has ", degree[row], " edges, not ", p.n);
      if (p.rule == ALL_TO_ALL) CHECK(degree[row] == p.post - barred, name, ": row ", row, " has ", degree[row], " edges");
    }
    if (p.rule == FIXED_TOTAL) CHECK(length(found) == p.n, name, ": ", found.size(), " edges, not ", p.n);
  }
}

TEST(rules_fixed_prob_rates, "fixed_prob gives as many edges as its probability says, evenly, be it tiny or nearly 1") {
  for (const double probability : {1e-15, 1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999, 1.0 - 1e-9, 1.0 - 0x1p-53}) {
    Pathway p{};
    p.rule = FIXED_PROB, p.pre = 300, p.post = probability < 0.01 ? 100000 : 700, p.log_q = std::log1p(-probability),
    p.key = any_key();
    const double possible = static_cast<double>(p.pre * p.post), mean = possible * probability;
    const double error = 5 * std::sqrt(mean * (1 - probability)) + 1e-6 * mean + 0.5;
    const std::vector<Draft> found = drafts_of(p);
    const double edges = static_cast<double>(found.size());
    CHECK(std::fabs(edges - mean) <= error, "p = ", probability, ": ", edges, " edges of ", possible);
    double upper = 0;
    for (const Draft& d : found) upper += 2 * d.post >= p.post;
    CHECK(std::fabs(2 * upper - edges) <= 5 * std::sqrt(edges) + 0.5, "p = ", probability, ": ", upper, " of ", edges,
          " edges in the upper half");
  }
}

TEST(rules_even_degrees, "Rules of degrees and of totals pick every partner about equally often, barred ones aside") {
  for (const Rule rule : {FIXED_INDEGREE, FIXED_OUTDEGREE, FIXED_TOTAL}) {
    for (const int64_t n : {3, 11, 17}) {  // of 20: the last two by what is left out
      Pathway p{};
      p.rule = rule, p.multapses = rule == FIXED_TOTAL, p.key = any_key();
      p.pre = rule == FIXED_INDEGREE ? 20 : 3000, p.post = rule == FIXED_INDEGREE ? 3000 : 20,
      p.n = rule == FIXED_TOTAL ? 3000 * n : n;
      const std::vector<int32_t> own(3000, 7);
      p.own = own.data();
      std::vector<double> picked(20);
      for (const Draft& d : drafts_of(p)) ++picked[rule == FIXED_INDEGREE ? d.pre : d.post];
      for (size_t i = 0; i < 20; ++i) {
        const double wanted = i == 7 ? 0 : 3000.0 * static_cast<double>(n) / 19;
        CHECK(std::fabs(picked[i] - wanted) <= 5 * std::sqrt(wanted), RULE_NAMES[rule], " ", n, ": partner ", i, " is picked ",
              picked[i], " times, not ", wanted);
      }
    }
  }
}

TEST(rules_rounding, "Delays are rounded half up to steps, weights half to even to quanta, drawn, listed or one for all") {
  Edges edges;
  edges.count = 6;
  for (int i = 0; i < 6; ++i) edges.entity[i] = static_cast<uint64_t>(5 - i), edges.number[i] = 0;
  Pathway p{};
  p.rule = LISTED, p.dt = 0.5, p.per_quantum = 4;
  const std::vector<double> weights{0.125, 0.375, 0.625, -0.125, -0.375, 1.0};
  const std::vector<int32_t> listed{9, 8, 7, 6, 5, 4};
  int64_t found[BATCH];
  p.weight = -3, p.delay = 11;
  CHECK(weights_of(p, edges, found) && std::count(found, found + 6, -3) == 6, "one weight");
  CHECK(delays_of(p, edges, found) && std::count(found, found + 6, 11) == 6, "one delay");
  p.weights = weights.data(), p.delays = listed.data();
  const int64_t quanta[] = {4, -2, 0, 2, 2, 0}, steps[] = {4, 5, 6, 7, 8, 9};
  CHECK(weights_of(p, edges, found) && std::equal(found, found + 6, quanta), "listed weights, the first is ", found[0]);
  CHECK(delays_of(p, edges, found) && std::equal(found, found + 6, steps), "listed delays, the first is ", found[0]);
  Law law{};
  law.kind = UNIFORM, p.weight_law = p.delay_law = &law;
  const double time[] = {-0.75, -0.26, -0.25, 0.0, 0.24, 0.25, 0.75, 1.25};
  const int64_t rounded[] = {-1, -1, 0, 0, 0, 1, 2, 3}, to_even[] = {-3, -1, -1, 0, 1, 1, 3, 5};
  for (int i = 0; i < 8; ++i) {
    law.first = law.second = time[i];
    CHECK(delays_of(p, edges, found) && std::count(found, found + 6, rounded[i]) == 6, time[i], " ms are ", found[0], " steps");
    CHECK(weights_of(p, edges, found) && std::count(found, found + 6, to_even[i]) == 6, time[i], " is ", found[0], " quanta");
  }
  law.first = law.second = 0.625;
  CHECK(weights_of(p, edges, found) && found[0] == 2, "2.5 is ", found[0]);
  law.redraws = 1, law.redraw_low = law.redraw_high = 7.0;
  CHECK(!weights_of(p, edges, found) && !delays_of(p, edges, found), "bounds that are never met");
}

// ---- stored edges -------------------------------------------------------------------------------------------------------------

// All edges on the merged axes, with their delays before (raw) or after the least one is applied.
std::vector<Edge> edges_of(const Pathway& p, bool raw = false) {
  std::vector<Edge> found;
  each_batch(p, 0, rows_of(p), [&](const Edges& edges) {
    int64_t weight[BATCH], delay[BATCH];
    CHECK(weights_of(p, edges, weight) && delays_of(p, edges, delay), "bounds that are never met");
    for (int i = 0; i < edges.count; ++i) {
      found.push_back(
          {p.source[edges.pre[i]], p.target[edges.post[i]], weight[i], raw ? delay[i] : std::max(delay[i], p.least_delay)});
    }
  });
  return found;
}

Found in_parts(int64_t parts, bool at_once, const std::function<Found(int64_t)>& part) {
  std::vector<Found> found(parts);
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < parts; ++i) {
    const auto task = [&found, &part, i] { found[i] = part(i); };
    at_once ? static_cast<void>(threads.emplace_back(task)) : task();
  }
  for (auto& thread : threads) thread.join();
  Found all;
  for (const Found& f : found) {
    all.edges += f.edges, all.negative_delays += f.negative_delays, all.negative_weights += f.negative_weights;
    all.shortest = std::min(all.shortest, f.shortest), all.longest = std::max(all.longest, f.longest), all.unmet |= f.unmet;
  }
  return all;
}

constexpr size_t BEYOND = 64;  // bytes after the records, for what is fetched ahead
constexpr uint8_t UNTOUCHED = 0xA5;

struct Stored {  // a block with the memory it points to
  Block b{};
  std::vector<int64_t> delay, first_edge;
  std::vector<int32_t> rank;
  std::vector<uint32_t> offsets;
  std::vector<uint16_t> narrow;
  std::vector<uint8_t> records;
};

// Stores the edges of some pathways as snnrun/kernels/native.py does, checking what is found on the way.
std::unique_ptr<Stored> store(const std::vector<const Pathway*>& pathways, const Shards& shards, Weights weights, int64_t parts,
                              bool at_once) {
  auto made = std::make_unique<Stored>();
  Block& b = made->b;
  std::set<int64_t> delays;
  int64_t last_source = 0;
  b.first_source = INT64_MAX;
  std::map<std::pair<int64_t, int64_t>, int64_t> row_lengths;
  for (const Pathway* p : pathways) {
    for (const Edge& e : edges_of(*p)) {
      delays.insert(e.delay);
      ++row_lengths[{detail::shard_of(shards, e.target), e.source}];
    }
    b.first_source = std::min<int64_t>(b.first_source, *std::min_element(p->source, p->source + p->pre));
    last_source = std::max<int64_t>(last_source, *std::max_element(p->source, p->source + p->pre));
  }
  const std::set<int64_t> used = delays;
  for (int i = 0; i < 3; ++i) {  // delays that might have been
    if (delays.empty() || coin(0.2)) delays.insert(between(1, 12));
  }
  made->delay.assign(delays.begin(), delays.end());
  made->rank.assign((made->delay.back()) + 1, -1);
  b.sources = last_source + 1 - b.first_source, b.ranks = length(delays);
  for (size_t r = 0; r < made->delay.size(); ++r) made->rank[made->delay[r]] = static_cast<int32_t>(r);
  for (auto& delay : made->delay) delay = used.count(delay) ? delay : -1;
  b.weight = pathways[0]->weight, b.weight_bytes = weights == Weights::ONE ? 0 : weights == Weights::NARROW ? 4 : 8;
  made->first_edge.resize(shards.count * (b.sources + 1));
  if (b.ranks > 1) made->offsets.resize(shards.count * b.sources * (b.ranks + 1));
  b.delay = made->delay.data(), b.rank = made->rank.data(), b.longest = length(made->rank) - 1;
  b.first_edge = made->first_edge.data(), b.offsets = b.ranks > 1 ? made->offsets.data() : nullptr, b.offset_bytes = 4;

  int64_t edges = 0, longest_row = -1;
  for (const Pathway* p : pathways) {
    const std::vector<Edge> raw = edges_of(*p, true);
    int64_t shortest = INT64_MAX, longest = INT64_MIN;
    for (const Edge& e : raw) shortest = std::min(shortest, e.delay), longest = std::max(longest, e.delay);
    for (const bool surveyed : {true, false}) {
      const Found found = in_parts(parts, at_once, [&](int64_t part) {
        return surveyed ? survey(*p, shards, part, parts) : count(*p, b, shards, part, parts);
      });
      CHECK(found.edges == length(raw), RULE_NAMES[p->rule], ": ", found.edges, " edges, not ", raw.size());
      CHECK(found.shortest == shortest && found.longest == longest, RULE_NAMES[p->rule], ": delays ", found.shortest, " ... ",
            found.longest);
      CHECK(!found.unmet && !found.negative_delays && !found.negative_weights, RULE_NAMES[p->rule]);
    }
    edges += length(raw);
  }
  CHECK(accumulate(b, shards, &longest_row) == edges, "not ", edges, " edges in all");
  int64_t wanted = 0;
  for (const auto& row : row_lengths) wanted = std::max(wanted, row.second);
  CHECK(longest_row == wanted, "the longest row has ", longest_row, " edges, not ", wanted);
  made->records.assign((edges * (2 + b.weight_bytes)) + BEYOND, UNTOUCHED);
  b.records = made->records.data();
  for (const Pathway* p : pathways) {
    int64_t negative = 0;
    for (const Edge& e : edges_of(*p)) negative += weights != Weights::ONE && e.weight < 0;
    const Found found = in_parts(parts, at_once, [&](int64_t part) { return fill(*p, b, shards, part, parts); });
    CHECK(found.negative_weights == negative && !found.unmet, RULE_NAMES[p->rule], ": ", found.negative_weights,
          " negative weights, not ", negative);
  }
  for (size_t i = made->records.size() - BEYOND; i < made->records.size(); ++i)
    CHECK(made->records[i] == UNTOUCHED, "written beyond the records");
  if (b.offsets && longest_row < 1 << 16 && coin(0.8)) {
    made->narrow.assign(made->offsets.begin(), made->offsets.end());
    made->offsets = {};
    b.offsets = made->narrow.data(), b.offset_bytes = 2;
  }
  return made;
}

// The edges that a block stands for.
std::vector<Edge> decoded(const Block& b, const Shards& shards) {
  std::vector<Edge> found;
  int64_t next = 0;
  for (int64_t shard = 0; shard < shards.count; ++shard) {
    const int64_t* first = b.first_edge + shard * (b.sources + 1);
    for (int64_t row = 0; row < b.sources; ++row) {
      CHECK(first[row] == next, "row ", row, " of shard ", shard, " begins at ", first[row], ", not ", next);
      for (int64_t rank = 0; rank < b.ranks; ++rank) {
        const int64_t segment = (shard * b.sources + row) * (b.ranks + 1) + rank;
        const auto offset = [&](int64_t i) -> int64_t {
          return b.offset_bytes == 4 ? static_cast<const uint32_t*>(b.offsets)[i] : static_cast<const uint16_t*>(b.offsets)[i];
        };
        if (b.offsets) CHECK(first[row] + offset(segment) == next, "segment ", rank, " of row ", row, " of shard ", shard);
        const int64_t end = b.offsets ? first[row] + offset(segment + 1) : first[row + 1];
        for (; next < end; ++next) {
          const uint8_t* record = b.records + next * (2 + b.weight_bytes);
          uint16_t target;
          int32_t narrow;
          Edge e{b.first_source + row, 0, b.weight, b.delay[rank]};
          std::memcpy(&target, record, 2);
          if (b.weight_bytes == 4) std::memcpy(&narrow, record + 2, 4), e.weight = narrow;
          if (b.weight_bytes == 8) std::memcpy(&e.weight, record + 2, 8);
          e.target = shards.first[shard] + target;
          CHECK(e.target < shards.first[shard + 1], "target ", e.target, " in shard ", shard);
          found.push_back(e);
        }
      }
    }
    CHECK(first[b.sources] == next, "shard ", shard, " ends at ", first[b.sources], ", not ", next);
  }
  return found;
}

void check_same_edges(std::vector<Edge> found, std::vector<Edge> wanted) {
  std::sort(found.begin(), found.end());
  std::sort(wanted.begin(), wanted.end());
  for (size_t i = 0; i < std::min(found.size(), wanted.size()); ++i)
    CHECK(found[i] == wanted[i], text(found[i]), ", not ", text(wanted[i]));
  CHECK(found.size() == wanted.size(), found.size(), " edges, not ", wanted.size());
}

// Pathways that may share a block: with one weight for all, or with individual ones.
std::vector<std::unique_ptr<AnyPathway>> any_pathways(int64_t number, int64_t sources, int64_t targets, Weights weights) {
  std::vector<std::unique_ptr<AnyPathway>> made;
  for (int64_t i = 0; i < number; ++i) {
    made.push_back(any_pathway(one_of({LISTED, ALL_TO_ALL, FIXED_PROB, FIXED_INDEGREE, FIXED_OUTDEGREE, FIXED_TOTAL}), sources,
                               targets, weights, one_of<int64_t>({0, 1, 12})));
    made[i]->p.weight = made[0]->p.weight;
  }
  return made;
}

void check_layouts(int trials, bool at_once) {
  for (int trial = 0; trial < trials; ++trial) {
    const int64_t sources = between(1, 400), targets = between(1, 900);
    const std::vector<int64_t> first = cuts(between(1, 5), targets);
    const Shards shards{length(first) - 1, first.data()};
    const Weights weights = one_of({Weights::ONE, Weights::NARROW, Weights::WIDE});
    const auto made = any_pathways(between(1, 3), sources, targets, weights);
    std::vector<const Pathway*> pathways;
    std::vector<Edge> wanted;
    for (const auto& pathway : made) {
      pathways.push_back(&pathway->p);
      const std::vector<Edge> edges = edges_of(pathway->p);
      wanted.insert(wanted.end(), edges.begin(), edges.end());
    }
    check_same_edges(decoded(store(pathways, shards, weights, between(1, 4), at_once)->b, shards), wanted);
  }
}

TEST(layout_keeps_every_edge, "A block holds each edge of its pathways once, whatever the rules, weights, delays and shards") {
  check_layouts(50, false);
}

TEST(layout_by_threads, "Several threads may count and fill the parts of a pathway at once") { check_layouts(20, true); }

TEST(layout_of_long_rows, "Rows of more than 65,535 edges have offsets of four bytes; a shard may have 65,536 targets") {
  const std::vector<int64_t> first{0, 1 << 16, (1 << 16) + 100};
  const Shards shards{2, first.data()};
  Pathway p{};
  Law delay{};
  delay.kind = UNIFORM, delay.first = 0.1, delay.second = 0.35, delay.key = {3, 4};
  std::vector<int32_t> target;
  for (int32_t i = 0; i < first[2]; ++i) target.push_back(i);
  const std::vector<int32_t> source{5, 2};
  p.rule = ALL_TO_ALL, p.pre = 2, p.post = first[2], p.source = source.data(), p.target = target.data(), p.delay_law = &delay,
  p.dt = 0.1, p.weight = 3;
  const auto stored = store({&p}, shards, Weights::ONE, 2, false);
  CHECK(stored->b.offset_bytes == 4, "2 bytes would not do");
  check_same_edges(decoded(stored->b, shards), edges_of(p));
}

TEST(layout_tells_what_is_wrong, "Negative delays are counted and left out; bounds that are never met are told") {
  const std::vector<int64_t> first{0, 40, 100};
  const Shards shards{2, first.data()};
  for (const Rule rule : {ALL_TO_ALL, FIXED_PROB, FIXED_INDEGREE, FIXED_OUTDEGREE, FIXED_TOTAL}) {
    std::unique_ptr<AnyPathway> made;
    std::vector<Edge> raw;
    while (raw.size() < 50 || raw.size() > 600) {
      made = any_pathway(rule, 30, 100, Weights::NARROW, 5);
      made->delay_law = any_law(NORMAL), made->delay_law.first = 0.1, made->delay_law.second = 0.2;
      made->p.delay_law = &made->delay_law;
      raw = edges_of(made->p, true);
    }
    Pathway& p = made->p;
    const int64_t longest =
        std::max_element(raw.begin(), raw.end(), [](const Edge& a, const Edge& b) { return a.delay < b.delay; })->delay;
    const int64_t negative = std::count_if(raw.begin(), raw.end(), [](const Edge& e) { return e.delay < 0; });
    const int64_t room = std::max<int64_t>(longest - 1, 1);  // the longest delay has no rank, unless it is the only one
    const int64_t stored = std::count_if(raw.begin(), raw.end(),
                                         [&](const Edge& e) { return e.delay >= 0 && std::max(e.delay, p.least_delay) <= room; });
    std::vector<int64_t> delays, first_edge(shards.count * 31);
    std::vector<int32_t> rank;
    for (int64_t i = 0; i <= room; ++i) delays.push_back(i), rank.push_back(static_cast<int32_t>(i));
    std::vector<uint32_t> offsets(shards.count * 30 * (room + 2));
    const Block b{0, 30, 0, 4, room + 1, delays.data(), rank.data(), room, first_edge.data(), offsets.data(), 4, nullptr};
    const Found found = in_parts(2, false, [&](int64_t part) { return count(p, b, shards, part, 2); });
    int64_t longest_row;
    CHECK(found.negative_delays == negative && negative > 0, RULE_NAMES[rule], ": ", found.negative_delays,
          " negative delays, not ", negative);
    CHECK(found.edges == length(raw) && found.longest == longest, RULE_NAMES[rule], ": ", found.edges, " edges up to ",
          found.longest);
    const int64_t counted = accumulate(b, shards, &longest_row);
    CHECK(counted == stored, RULE_NAMES[rule], ": ", counted, " edges have a place, not ", stored);
    made->delay_law.redraws = 1, made->delay_law.redraw_low = made->delay_law.redraw_high = 1e9;
    for (const bool surveyed : {true, false}) {
      const Found unmet = surveyed ? survey(p, shards, 0, 1) : count(p, b, shards, 0, 1);
      CHECK(unmet.unmet == 2, RULE_NAMES[rule], ": ", unmet.unmet);
    }
    made->delay_law.redraws = 0, p.delay_law = nullptr, p.delay = 0, p.least_delay = 0;
    made->weight_law.redraws = 1, made->weight_law.redraw_low = made->weight_law.redraw_high = 1e9;
    std::fill(offsets.begin(), offsets.end(), 0u), std::fill(first_edge.begin(), first_edge.end(), int64_t{0});
    count(p, b, shards, 0, 1);
    std::vector<uint8_t> records((6 * accumulate(b, shards, &longest_row)) + BEYOND);
    Block filled = b;
    filled.records = records.data();
    CHECK(fill(p, filled, shards, 0, 1).unmet == 1, RULE_NAMES[rule]);
  }
}

// ---- threads ------------------------------------------------------------------------------------------------------------------

// A run in which every task counts itself, without atomics: the thread sanitizer would see two threads at the same task. Returns
// how many threads took part.
int check_run(Workers& workers, int threads, int64_t count) {
  std::vector<int> times(count);
  std::vector<std::thread::id> who(count);
  workers.run(threads, count, [&](int64_t i) { ++times[i], who[i] = std::this_thread::get_id(); });
  for (int64_t i = 0; i < count; ++i) CHECK(times[i] == 1, "task ", i, " of ", count, " was done ", times[i], " times");
  return static_cast<int>(std::set<std::thread::id>(who.begin(), who.end()).size());
}

TEST(workers_do_every_task_once, "Every task is done once, and what it wrote is seen when `run` returns") {
  for (int trial = 0; trial < 2000; ++trial) {
    check_run(Workers::get(), static_cast<int>(between(0, 7)), between(0, coin(0.1) ? 500 : 8));
    if (trial % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // helpers fall asleep
  }
}

TEST(workers_keep_to_their_number, "No more threads take part than allowed, once those of the call before have left it") {
  check_run(Workers::get(), 7, 100);
  for (int trial = 0; trial < 60; ++trial) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const int threads = static_cast<int>(between(0, 4)), found = check_run(Workers::get(), threads, 2000);
    CHECK(found <= std::max(threads, 1), found, " threads, not ", threads);
  }
}

TEST(workers_share_the_work, "A task may wait for another one that only a second thread can do, also when helpers sleep") {
  for (int trial = 0; trial < 20; ++trial) {
    std::atomic<int> arrived{0};
    std::atomic<bool> late{false};
    Workers::get().run(3, 3, [&](int64_t) {
      ++arrived;
      const auto begin = std::chrono::steady_clock::now();
      while (arrived < 3 && !late) {
        if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(10)) late = true;
        std::this_thread::yield();
      }
    });
    CHECK(!late, "only ", arrived.load(), " of 3 threads work");
    if (trial % 2) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST(workers_of_two_callers, "Two threads may ask for work at the same time; who comes second does it alone") {
  std::atomic<int> failures{0};
  const auto caller = [&failures](int threads) {
    try {
      for (int trial = 0; trial < 1000; ++trial) check_run(Workers::get(), trial % 3 ? threads : 2, 1 + trial % 9);
    } catch (const Failed&) {
      ++failures;
    }
  };
  std::thread one(caller, 3), two(caller, 4);
  one.join(), two.join();
  CHECK(!failures, "see above");
}

#ifndef __SANITIZE_THREAD__
TEST(workers_after_a_fork, "A forked process, which has none of its parent's threads, starts its own") {
  check_run(Workers::get(), 3, 50);
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    int status = 0;
    try {
      for (int trial = 0; trial < 20; ++trial) check_run(Workers::get(), 3, 50);
    } catch (const Failed&) {
      status = 1;
    }
    std::cout.flush();
    _exit(status);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with ", status);
  check_run(Workers::get(), 3, 50);
}
#endif

// ---- delivery -----------------------------------------------------------------------------------------------------------------

// A history with the memory it points to.
struct Rows {
  History history;
  std::vector<uint32_t> words, digests;
  Rows(int64_t depth, int64_t size)
      : history{depth, size, nullptr, nullptr}, words(depth * size), digests(depth * (1 + History::digest_words(size))) {
    history.bits = words.data(), history.digests = digests.data();
  }
  void write(int64_t step, const std::vector<uint8_t>& fired) {
    const int64_t place = history.place(step);
    uint32_t* row = words.data() + place * history.words;
    std::fill(row, row + history.words, 0u);
    for (size_t i = 0; i < fired.size(); ++i) row[i / 32] |= static_cast<uint32_t>(fired[i]) << i % 32;
    digest_row(row, history.words, digests.data() + place * (1 + History::digest_words(history.words)));
  }
};
int64_t words_for(int64_t sources) { return 2 * ((sources + 63) / 64); }

TEST(history_rows, "A step's row and digest are at its number modulo the depth, before step 0 too") {
  const Rows rows(3, 130);
  for (int64_t step = -30; step < 30; ++step) {
    const int64_t place = (step + 300) % 3;
    CHECK(rows.history.place(step) == place && rows.history.row(step) == rows.words.data() + 130 * place, "step ", step);
    CHECK(rows.history.digest(step) == rows.digests.data() + 4 * place, "step ", step);
  }
}

TEST(history_digests, "A row's digest is the number of its spikes, and a bit for each 64 sources of which any fired") {
  for (int trial = 0; trial < 500; ++trial) {
    const int64_t sources = between(1, one_of<int64_t>({100, 3000, 9000}));
    const double density = one_of<double>({0.0, 0.001, 0.1, 1.0});
    std::vector<uint8_t> fired(sources);
    for (auto& one : fired) one = coin(density);
    Rows rows(1, words_for(sources));
    std::fill(rows.digests.begin(), rows.digests.end(), 0xDEADBEEF);
    rows.write(0, fired);
    std::vector<uint32_t> wanted(rows.digests.size());
    for (size_t i = 0; i < fired.size(); ++i)
      wanted[0] += fired[i], wanted[1 + i / 2048] |= static_cast<uint32_t>(fired[i]) << i / 64 % 32;
    CHECK(rows.digests == wanted && rows.history.spikes(0) == wanted[0], rows.digests[0], " spikes, not ", wanted[0]);
  }
}

TEST(fired_between_any_places, "fired_in finds the set bits between any two places, in order, and looks at no word beyond") {
  for (int trial = 0; trial < 3000; ++trial) {
    const int64_t sources = between(1, coin() ? 300 : 9000), first = between(0, sources), end = between(first, sources);
    const double density = one_of<double>({0.0, 0.003, 0.5, 1.0});
    std::vector<uint8_t> fired(sources);
    std::vector<int64_t> wanted, found;
    for (int64_t i = 0; i < sources; ++i) {
      if (!coin(density)) continue;
      fired[i] = 1;
      if (i >= first && i < end) wanted.push_back(i);
    }
    Rows rows(1, words_for(sources));
    rows.write(0, fired);
    const std::vector<uint32_t> row(rows.words.begin(), rows.words.begin() + words_for(end));
    detail::fired_in(row.data(), rows.digests.data(), first, end, [&](int64_t i) { found.push_back(i); });
    CHECK(found == wanted, found.size(), " of ", wanted.size(), " between ", first, " and ", end);
  }
}

TEST(packed_masks, "pack sets the bit of every true byte, the first neuron in the lowest") {
  for (int trial = 0; trial < 500; ++trial) {
    const int64_t count = 32 * between(0, 20);
    std::vector<uint8_t> mask(count);
    std::vector<uint32_t> words((count / 32), 0xDEADBEEF), wanted(words.size());
    const double density = one_of<double>({0.0, 0.1, 0.5, 1.0});
    for (size_t i = 0; i < mask.size(); ++i) mask[i] = coin(density), wanted[i / 32] |= static_cast<uint32_t>(mask[i]) << i % 32;
    pack(mask.data(), count, words.data());
    CHECK(words == wanted, count, " neurons");
  }
}

template <class Float>
void check_pack_reached() {
  const Float infinity = std::numeric_limits<Float>::infinity(), nan = std::numeric_limits<Float>::quiet_NaN();
  using Function = void (*)(const Float*, const Float*, int64_t, int64_t, uint32_t*);
  std::vector<Variant<Function>> variants{{"plain", pack_reached_plain<Float>}, {"the chosen one", pack_reached<Float>}};
#ifdef SNNRUN_X86
  variants.push_back({"128 bits", pack_reached_sse});
  if (__builtin_cpu_supports("avx512f")) variants.push_back({"512 bits", pack_reached_512});
#endif
  for (int trial = 0; trial < 200; ++trial) {
    const int64_t count = 32 * between(1, 12), stride = between(0, 1);
    std::vector<Float> threshold(stride ? count : 1), value(count);
    const auto any = [&] {
      return one_of<Float>({-1, -0.0, 0.0, 1, 1 + std::numeric_limits<Float>::epsilon(), infinity, -infinity, nan});
    };
    for (auto& t : threshold) t = any();
    for (auto& v : value) v = any();
    std::vector<uint32_t> wanted(count / 32);
    for (int64_t i = 0; i < count; ++i) {
      wanted[i / 32] |= static_cast<uint32_t>(value[i] >= threshold[stride * i] && value[i] < infinity) << i % 32;
    }
    for (const auto& variant : variants) {
      std::vector<uint32_t> words(count / 32, 0xDEADBEEF);
      variant.function(value.data(), threshold.data(), stride, count, words.data());
      CHECK(words == wanted, variant.name, ", stride ", stride);
    }
  }
}

TEST(packed_thresholds,
     "Every variant of pack_reached sets the bits of the neurons whose value is at least the threshold, NaN and infinity never") {
  check_pack_reached<double>();
  check_pack_reached<float>();
}

template <class Float>
void check_hand_out() {
  using Function = void (*)(int64_t*, int64_t, double, Float*);
  std::vector<Variant<Function>> variants{{"plain", detail::hand_out_any}, {"the chosen one", detail::hand_out<Float>}};
#ifdef SNNRUN_X86
  if (__builtin_cpu_supports("avx512dq")) variants.push_back({"512 bits", detail::hand_out_512});
#endif
  for (int trial = 0; trial < 400; ++trial) {
    const double quantum = one_of<double>({1.0, 0x1p-40, 0x1p3});
    std::vector<int64_t> given(between(0, 70));
    for (auto& sum : given) {
      sum = static_cast<int64_t>(any_word());
      if (coin(0.3)) sum = (1ll << between(52, 62)) * one_of<int64_t>({-1, 1}) + between(-1025, 1025);  // halfway, and just off
      if (!coin(0.1)) continue;
      sum = one_of<int64_t>({INT64_MIN, INT64_MAX, INT64_MIN + 1, -1, 0, 1, INT32_MAX, INT32_MIN, 1ll << 31, 1ll << 32});
    }
    for (const auto& variant : variants) {
      std::vector<int64_t> sums = given;
      std::vector<Float> out(given.size(), std::numeric_limits<Float>::quiet_NaN());
      variant.function(sums.data(), length(sums), quantum, out.data());
      for (size_t i = 0; i < sums.size(); ++i) {
        const Float wanted = static_cast<Float>(static_cast<double>(given[i]) * quantum);
        CHECK(same(out[i], wanted), variant.name, ": ", given[i], " * ", quantum, " is ", out[i], ", not ", wanted);
        CHECK(sums[i] == 0, variant.name, ": a sum is left at ", sums[i]);
      }
    }
  }
}

TEST(sums_handed_out, "Sums are converted to floating point as the compiler does it, also beyond 2**53, and left at zero") {
  check_hand_out<double>();
  check_hand_out<float>();
}

std::vector<Run> runs_of(const std::vector<int32_t>& place) {
  std::vector<Run> runs;
  for (size_t i = 0; i < place.size(); ++i) {
    if (i && place[i] == place[i - 1] + 1) {
      ++runs.back().size;
    } else {
      runs.push_back({place[i], 1, static_cast<int64_t>(i)});
    }
  }
  return runs;
}

enum class Storing { STORED, PROCEDURAL, EITHER };

// The stages of a step: jumps are due before it is known who fires in it, arrivals after.
constexpr int JUMPS = 0, ARRIVALS = 1;

struct AnyNetwork {  // with the memory it points to, and all of its edges
  int64_t sources = 0, depth = 1;
  bool waits = false;
  std::vector<int64_t> first;
  std::vector<std::unique_ptr<AnyPathway>> pathways;
  std::vector<std::unique_ptr<Stored>> stored;
  std::vector<std::unique_ptr<AnyNoise>> noises;
  std::vector<std::vector<Run>> runs;
  struct OfStage {
    std::vector<Edge> edges;
    std::vector<Block> blocks;
    std::vector<Procedural> procedural;
    std::vector<Noise> noise;
    std::vector<Receptor> wanted, receptors;  // as a whole, and in pieces
  } stages[2];
  Network net{};
};

template <class T>
void point_to(const std::vector<T>& items, const T** at, int64_t* count) {
  *at = pointer(items), *count = length(items);
}

std::unique_ptr<AnyNetwork> any_network(Storing storing, int64_t first_step) {
  auto made = std::make_unique<AnyNetwork>();
  AnyNetwork& m = *made;
  const int64_t targets = between(1, 1200);
  m.sources = between(1, 500);
  m.first = cuts(between(1, 5), targets);
  const Shards shards{length(m.first) - 1, m.first.data()};
  std::vector<Receptor> receptors[2];
  std::vector<int32_t> places_of[2];  // of targets
  std::vector<bool> reached(targets);
  const std::vector<int64_t> ends = cuts(between(1, 6), targets);
  for (size_t r = 0; r + 1 < ends.size(); ++r) {
    const bool stage = coin();
    receptors[stage].push_back({ends[r], ends[r + 1] - ends[r], std::ldexp(1.0, static_cast<int>(between(-45, 2))), 0, 0});
    for (int64_t t = ends[r]; t < ends[r + 1]; ++t) places_of[stage].push_back(static_cast<int32_t>(t));
  }
  for (const int stage : {JUMPS, ARRIVALS}) {
    if (receptors[stage].empty()) continue;
    AnyNetwork::OfStage& of = m.stages[stage];
    for (int64_t group = between(0, 2); group > 0; --group) {
      const Weights weights = one_of({Weights::ONE, Weights::NARROW, Weights::WIDE});
      std::vector<const Pathway*> together;
      for (auto& pathway : any_pathways(between(1, 3), m.sources, static_cast<int64_t>(places_of[stage].size()), weights)) {
        Pathway& p = pathway->p;
        for (auto& target : pathway->target) target = places_of[stage][target];
        if (stage == JUMPS) p.least_delay = 1;
        for (const Edge& e : edges_of(p)) {
          of.edges.push_back(e);
          m.depth = std::max(m.depth, e.delay + 1);
          reached[e.target] = true;
        }
        const bool may_be = p.rule == ALL_TO_ALL || p.rule == FIXED_PROB || p.rule == FIXED_OUTDEGREE;
        if (may_be && (storing == Storing::PROCEDURAL || (storing == Storing::EITHER && coin()))) {
          m.runs.push_back(runs_of(pathway->source)), m.runs.push_back(runs_of(pathway->target));
          Procedural procedural{p, nullptr, 0, nullptr, 0, one_of<double>({1, 1e5})};
          point_to(*(m.runs.end() - 2), &procedural.sources, &procedural.source_runs);
          point_to(m.runs.back(), &procedural.targets, &procedural.target_runs);
          of.procedural.push_back(procedural);
          m.waits |= p.delay_law != nullptr;
        } else {
          together.push_back(&p);
        }
        m.pathways.push_back(std::move(pathway));
      }
      if (together.empty()) continue;
      m.stored.push_back(store(together, shards, weights, between(1, 3), false));
      of.blocks.push_back(m.stored.back()->b);
    }
    for (int64_t i = between(0, 2); i > 0; --i) {
      const Receptor& receptor = receptors[stage][between(0, static_cast<int64_t>(receptors[stage].size()) - 1)];
      m.noises.push_back(any_noise(receptor.size, first_step));
      Noise& n = m.noises.back()->noise;
      n.target += receptor.first;
      const std::vector<int64_t> ends = cuts(between(1, 3), n.stop - n.start);
      for (size_t part = 0; part + 1 < ends.size(); ++part) {  // as for a receptor that lies in pieces
        of.noise.push_back(n);
        of.noise.back().begin = n.start + ends[part], of.noise.back().end = n.start + ends[part + 1];
      }
      for (int64_t t = n.target + n.start; t < n.target + n.stop; ++t) reached[t] = true;
    }
    for (const Receptor& r : receptors[stage]) {
      const auto from = reached.begin() + r.first;
      if (std::find(from, from + r.size, true) == from + r.size && !coin(0.2)) continue;
      of.wanted.push_back(r);
    }
    std::shuffle(of.wanted.begin(), of.wanted.end(), bits);
    for (int64_t result = 0; result < length(of.wanted); ++result) {  // each in one piece or several, in the last of some rows
      Receptor& r = of.wanted[result];
      r.neuron = between(0, 2) * r.size;
      const std::vector<int64_t> ends = cuts(between(1, 3), r.size);
      for (size_t i = 0; i + 1 < ends.size(); ++i) {
        of.receptors.push_back({r.first + ends[i], ends[i + 1] - ends[i], r.quantum, result, r.neuron + ends[i]});
      }
    }
    std::shuffle(of.receptors.begin(), of.receptors.end(), bits);
  }
  m.depth += coin() ? 0 : between(1, 3);
  m.net.threads = 1, m.net.targets = targets, m.net.shards = shards;
  for (const int stage : {JUMPS, ARRIVALS}) {
    const AnyNetwork::OfStage& of = m.stages[stage];
    Stage& s = m.net.stages[stage];
    point_to(of.blocks, &s.blocks, &s.block_count), point_to(of.procedural, &s.procedural, &s.procedural_count);
    point_to(of.noise, &s.noise, &s.noise_count), point_to(of.receptors, &s.receptors, &s.receptor_count);
    s.results = length(of.wanted);
    s.few = length(of.receptors) <= FEW_RECEPTORS && coin();
  }
  return made;
}

using Fired = std::vector<uint8_t>;

// Who fires: nobody, all, few, half or one of the sources.
std::vector<Fired> any_spikes(int64_t sources, int64_t steps) {
  std::vector<Fired> fired;
  for (int64_t step = 0; step < steps; ++step) {
    Fired row(sources);
    const int64_t kind = between(0, 4);
    const double density = kind == 1 ? 1.0 : kind == 2 ? 0.01 : kind == 3 ? 0.5 : 0.0;
    for (auto& one : row) one = coin(density);
    if (kind == 4) row[between(0, sources - 1)] = 1;
    fired.push_back(row);
  }
  return fired;
}

// Sums over all edges of a stage; fired[k] is step first_step + k.
std::vector<int64_t> sums_slowly(const AnyNetwork& m, int stage, const std::vector<Fired>& fired, int64_t first_step,
                                 int64_t step) {
  std::vector<int64_t> sums(m.net.targets);
  for (const Edge& e : m.stages[stage].edges) {
    const int64_t sent = step - e.delay - first_step;
    if (sent >= 0 && fired[sent][e.source]) sums[e.target] += e.weight;
  }
  for (const Noise& n : m.stages[stage].noise) add_noise_slowly(n, step, sums);
  return sums;
}

// A variable of some rows, of which a receptor is the last, with factors of any shape.
template <class T>
struct AnyVariable {
  std::vector<T> x, decay, scale;
  detail::Result result;

  AnyVariable(int64_t size, int64_t rows) : x(rows * size), decay(shape(size, rows)), scale(coin() ? shape(size, rows) : 0) {
    for (auto* values : {&x, &decay, &scale}) {
      for (T& value : *values) value = static_cast<T>(one_of({0.0, 1.0, -1.0, 0.3, 1e-3, 700.1}));
    }
    result = {x.data(), rows * size, size, true, std::is_same_v<T, double>, {decay.data(), length(decay)}, {}};
    if (!scale.empty()) result.scale = {scale.data(), length(scale)};
  }
  static int64_t shape(int64_t size, int64_t rows) { return one_of({int64_t{1}, rows, rows * size}); }
  static T of(const std::vector<T>& factors, int64_t size, int64_t rows, int64_t i) {
    return length(factors) == rows * size ? factors[i] : length(factors) == rows ? factors[i / size] : factors[0];
  }
  // What place i of the last row must become.
  template <class Float>
  T wanted(int64_t i, int64_t size, int64_t rows, Float arriving) const {
    i += (rows - 1) * size;
    const volatile T rest = of(decay, size, rows, i) * x[i] + T(0);
    const volatile T more = scale.empty() ? static_cast<T>(arriving) : static_cast<T>(arriving) * of(scale, size, rows, i);
    return rest + more;
  }
};

template <class Float, class T>
void check_added(const AnyNetwork& m, const Network& net, const History& history, int64_t* pending,
                 const std::vector<int64_t>& sums, int64_t step) {
  const std::vector<Receptor>& receptors = m.stages[ARRIVALS].wanted;
  std::vector<AnyVariable<T>> variables, before;
  std::vector<detail::Result> results;
  variables.reserve(receptors.size());
  for (const Receptor& r : receptors) {
    variables.emplace_back(r.size, r.neuron / r.size + 1);
    results.push_back(variables.back().result);
  }
  before = variables;
  arrivals<Float>(net, ARRIVALS, history, step, pending, results.data());
  for (size_t r = 0; r < receptors.size(); ++r) {
    const int64_t size = receptors[r].size, first = receptors[r].neuron;
    for (int64_t i = 0; i < first; ++i) CHECK(same(variables[r].x[i], before[r].x[i]), "a row beside the receptor's was changed");
    for (int64_t i = 0; i < size; ++i) {
      const auto arriving = static_cast<Float>(static_cast<double>(sums[receptors[r].first + i]) * receptors[r].quantum);
      const T wanted = before[r].wanted(i, size, first / size + 1, arriving), found = variables[r].x[first + i];
      CHECK(same(found, wanted), "receptor ", r, ", neuron ", i, ", step ", step, ": ", found, ", not ", wanted);
    }
  }
}

// Arrivals are handed out, or added to variables.
template <class Float>
void check_arrivals(const AnyNetwork& m, const Network& net, int stage, const History& history, int64_t* pending,
                    const std::vector<Fired>& fired, int64_t first_step, int64_t step) {
  const std::vector<int64_t> sums = sums_slowly(m, stage, fired, first_step, step);
  if (stage == ARRIVALS && coin()) {
    return coin() ? check_added<Float, double>(m, net, history, pending, sums, step)
                  : check_added<Float, float>(m, net, history, pending, sums, step);
  }
  const std::vector<Receptor>& receptors = m.stages[stage].wanted;
  std::vector<std::vector<Float>> out;
  std::vector<Float*> pointers;
  for (const Receptor& r : receptors) {
    out.emplace_back(r.neuron + r.size, std::numeric_limits<Float>::quiet_NaN());
    pointers.push_back(out.back().data());
  }
  arrivals<Float>(net, stage, history, step, pending, pointers.data());
  for (size_t r = 0; r < receptors.size(); ++r) {
    for (int64_t i = 0; i < receptors[r].size; ++i) {
      const Float wanted = static_cast<Float>(static_cast<double>(sums[receptors[r].first + i]) * receptors[r].quantum);
      const Float found = out[r][receptors[r].neuron + i];
      CHECK(same(found, wanted), "stage ", stage, ", receptor ", r, ", neuron ", i, ", step ", step, ": ", found, ", not ",
            wanted);
    }
  }
}

// Runs a network for some steps, as the handlers of snnrun.cpp do.
template <class Float>
void check_steps(const AnyNetwork& m, const Network& net, const std::vector<Fired>& fired, int64_t first_step, bool ahead) {
  Rows rows(m.depth, words_for(m.sources));
  std::vector<int64_t> pending(m.waits ? m.depth * net.targets : 0);
  int64_t* const waiting = m.waits ? pending.data() : nullptr;
  for (int64_t step = first_step; step < first_step + length(fired); ++step) {
    check_arrivals<Float>(m, net, JUMPS, rows.history, waiting, fired, first_step, step);
    rows.write(step, fired[step - first_step]);
    check_arrivals<Float>(m, net, ARRIVALS, rows.history, waiting, fired, first_step, step);
    if (ahead && step + 1 < first_step + length(fired)) look_ahead(net, rows.history, step + 1);
  }
}

void check_networks(int networks, Storing storing, std::initializer_list<int64_t> threads) {
  for (int i = 0; i < networks; ++i) {
    const int64_t first_step = one_of<int64_t>({0, 0, (1ll << 33) + 5});
    const auto made = any_network(storing, first_step);
    const std::vector<Fired> fired = any_spikes(made->sources, 2 * made->depth + between(1, 8));
    for (const int64_t number : threads) {
      Network net = made->net;
      net.threads = number;
      net.worth_sharing = coin(0.7) ? 0.0 : 1e9;  // all threads are called for, or not
      const bool ahead = coin(0.7);
      coin() ? check_steps<double>(*made, net, fired, first_step, ahead) : check_steps<float>(*made, net, fired, first_step, ahead);
    }
  }
}

TEST(arrivals_of_stored_edges, "What arrives is noise and the sum over all edges whose source fired `delay` steps ago; variables decay") {
  check_networks(25, Storing::STORED, {1});
}

TEST(arrivals_of_procedural_edges, "Edges that are drawn again deliver what stored ones do, those with drawn delays included") {
  check_networks(25, Storing::PROCEDURAL, {1});
}

TEST(arrivals_by_threads, "Whatever the number of threads, arrivals are the same bits") {
  check_networks(8, Storing::EITHER, {2, 3, 7, 1});
}

TEST(arrivals_twice, "Two calls in a row give the same; so nothing is left in the sums, nor by a larger network before") {
  for (int trial = 0; trial < 8; ++trial) {
    const auto large = any_network(Storing::STORED, 0), small = any_network(Storing::STORED, 0);
    for (const auto* m : {large.get(), small.get(), large.get()}) {
      const std::vector<Fired> fired(30, Fired(m->sources, 1));
      Rows rows(m->depth, words_for(m->sources));
      for (int64_t step = 0; step < 30; ++step) rows.write(step, fired[0]);
      for (const int stage : {JUMPS, ARRIVALS, ARRIVALS, JUMPS})
        check_arrivals<double>(*m, m->net, stage, rows.history, nullptr, fired, 0, 29);
    }
  }
}

TEST(arrivals_for_two_callers, "Two threads may run a network at the same time, each with its own history") {
  std::atomic<int> failures{0};
  for (int trial = 0; trial < 5; ++trial) {
    const auto made = any_network(Storing::EITHER, 0);
    made->net.threads = 3;
    const std::vector<Fired> one = any_spikes(made->sources, made->depth + 4), two = any_spikes(made->sources, made->depth + 4);
    const auto caller = [&](const std::vector<Fired>& fired) {
      try {
        check_steps<double>(*made, made->net, fired, 0, true);
      } catch (const Failed&) {
        ++failures;
      }
    };
    std::thread first([&] { caller(one); }), second([&] { caller(two); });
    first.join(), second.join();
  }
  CHECK(!failures, "see above");
}

TEST(arrivals_by_counting, "Where all edges have one weight, counts of arrivals times the weight are the same as sums of weights") {
  for (int trial = 0; trial < 20; ++trial) {
    const auto made = any_network(Storing::STORED, 0);
    bool may = false;
    for (AnyNetwork::OfStage& of : made->stages) {
      Stage& stage = made->net.stages[&of - made->stages];
      stage.noise_count = 0, of.noise.clear();
      int64_t weight = one_of<int64_t>({1, -3, 1 << 20, INT32_MIN});
      bool one = !of.blocks.empty();
      for (const Block& b : of.blocks) one = one && !b.weight_bytes;
      if (!one) continue;
      may = true;
      for (Block& b : of.blocks) b.weight = weight;
      for (Edge& e : of.edges) e.weight = weight;
      for (Receptor& r : of.receptors) r.quantum *= static_cast<double>(weight);
      stage.counting = 1;
    }
    if (!may) continue;
    made->net.threads = between(1, 3);
    check_steps<double>(*made, made->net, any_spikes(made->sources, made->depth + 8), 0, coin());
  }
}

TEST(arrivals_of_large_sums, "Sums beyond 2**53 quanta, of either sign, arrive rounded once") {
  AnyNetwork m;
  m.first = {0, 2};
  const std::vector<int32_t> source{0, 1, 2}, target{0, 1}, pre{0, 1, 2, 0, 1}, post{0, 0, 0, 1, 1}, delay(5, 1);
  const std::vector<double> weight{0x1p54, 1.0, 0x1p53, -0x1p62, 511.0};
  Pathway p{};
  p.rule = LISTED, p.pre = 3, p.post = 2, p.n = 5, p.source = source.data(), p.target = target.data();
  p.listed_pre = pre.data(), p.listed_post = post.data(), p.weights = weight.data(), p.delays = delay.data(), p.per_quantum = 1.0;
  m.net.threads = 1, m.net.targets = 2, m.net.shards = {1, m.first.data()};
  const auto stored = store({&p}, m.net.shards, Weights::WIDE, 1, false);
  AnyNetwork::OfStage& of = m.stages[ARRIVALS];
  of.edges = edges_of(p), of.wanted = of.receptors = {{0, 2, 1.0, 0, 0}};
  Stage& stage = m.net.stages[ARRIVALS];
  stage.blocks = &stored->b, stage.block_count = 1, stage.receptors = of.receptors.data(), stage.receptor_count = 1, stage.results = 1;
  m.sources = 3, m.depth = 2;
  const std::vector<Fired> fired(3, Fired(3, 1));
  check_steps<double>(m, m.net, fired, 0, false);
  CHECK(sums_slowly(m, ARRIVALS, fired, 0, 1)[0] == (1ll << 54) + 1 + (1ll << 53), "the sum is not that large");
}

}  // namespace

int main(int count, char** arguments) {
  uint64_t seed = 1;
  bool list = false;
  std::vector<std::string> parts;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument == "--seed" && i + 1 < count) {
      seed = std::stoull(arguments[++i]);
    } else if (argument == "--list") {
      list = true;
    } else {
      parts.push_back(argument);
    }
  }
  int run = 0, failed = 0;
  for (const Test& test : tests()) {
    const auto chosen = [&](const std::string& part) { return std::string(test.name).find(part) != std::string::npos; };
    if (!parts.empty() && std::none_of(parts.begin(), parts.end(), chosen)) continue;
    if (list) {
      std::cout << test.name << ": " << test.checks << "\n";
      continue;
    }
    bits.seed(seed);
    const auto begin = std::chrono::steady_clock::now();
    bool passed = true;
    try {
      test.run();
    } catch (const Failed&) {
      passed = false;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("%s  %s  %.2f s\n", passed ? "passed" : "FAILED", test.name, took.count());
    if (!passed) std::printf("        %s\n", test.checks);
    std::fflush(stdout);
    ++run, failed += !passed;
  }
  if (list) return 0;
  std::printf("%d tests, %d failed\n", run, failed);
  return failed || !run;
}
