// Threads that share the work of one call.
//
// They are the library's own: a pool that XLA owns would also cut XLA's own loops over the neurons into parts, which costs them
// a factor of two. Between calls they wait busily for a short while, because the next call usually follows at once, and then
// sleep. A thread that has been woken up on the processor of the thread that called for it moves to another one: the system
// often leaves both where they are, and they would take turns for milliseconds. Whoever is free takes the next task, so a thread that the system holds up delays nobody unless it has begun one.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include <pthread.h>
#ifdef __linux__
#include <sched.h>
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace snnrun {

class Workers {
 public:
  static Workers& get() {
    static Workers* workers = new Workers;  // never destroyed: threads may outlive the end of the program
    // a forked process has none of the threads
    [[maybe_unused]] static const int watched = pthread_atfork(nullptr, nullptr, [] { workers = new Workers; });
    return *workers;
  }

  // Calls task(0) ... task(count - 1), count < 2**28, on up to `threads` threads, and returns when all are done. Where the threads
  // are busy for others, the caller does it alone. `mine`: the caller has taken them.
  template <class Task>
  void run(int threads, int64_t count, const Task& task, bool mine = false) {
    if (threads <= 1 || count <= 1 || !(mine || take(&task))) {
      for (int64_t i = 0; i < count; ++i) task(i);
      return;
    }
    begin(threads, count, task);
    finish();
    if (!mine) give_back();
  }

  // The same in two halves, begin and finish, for work that others do while the caller is busy with something else. The caller
  // has taken the threads, with an address to be known by, and gives them back: nobody else gets them meanwhile.
  bool take(const void* who) {
    const void* nobody = nullptr;
    return taken_by_.compare_exchange_strong(nobody, who, std::memory_order_acquire, std::memory_order_relaxed);
  }
  bool taken_by(const void* who) const { return taken_by_.load(std::memory_order_relaxed) == who; }
  void give_back() { taken_by_.store(nullptr, std::memory_order_release); }

  template <class Task>
  void begin(int threads, int64_t count, Task& task) {
    while (static_cast<int>(threads_.size()) < threads - 1) {
      const int number = static_cast<int>(threads_.size());
      threads_.emplace_back([this, number] { help(number); });
      threads_.back().detach();
    }
    task_ = [](void* t, int64_t i) { (*static_cast<Task*>(t))(i); };
    context_ = const_cast<void*>(static_cast<const void*>(&task));
    count_ = count;
    caller_.store(processor(), std::memory_order_relaxed);
    wanted_.store(threads - 1, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> lock(sleep_);
      ++calls_;
      tickets_.store(static_cast<uint64_t>(count) << 28, std::memory_order_release);
    }
    if (sleepers_.load(std::memory_order_acquire)) wake_.notify_all();
  }

  void finish() {
    work();
    for (int spins = 0; done_.load(std::memory_order_acquire) < count_; ++spins) {
      spins < 4096 ? pause() : std::this_thread::yield();
    }
  }

 private:
  static constexpr uint64_t PLACE = (1u << 28) - 1;

  static void pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // A ticket holds the number of tasks and the next one that nobody has taken.
  static bool left(uint64_t tickets) { return (tickets & PLACE) < (tickets >> 28); }

  // Takes tasks while there are any. Who has taken one knows that the call is not over and that its context is the present one.
  void work() {
    uint64_t tickets = tickets_.load(std::memory_order_acquire);
    while (left(tickets)) {
      if (!tickets_.compare_exchange_weak(tickets, tickets + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      task_(context_, static_cast<int64_t>(tickets & PLACE));
      done_.fetch_add(1, std::memory_order_release);
      tickets = tickets_.load(std::memory_order_acquire);
    }
  }

  // The processor that runs this thread; -1 where that cannot be told.
  static int processor() {
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
  }

  // Leaves the processor of the caller, if there are others.
  void step_aside() const {
#ifdef __linux__
    const int caller = caller_.load(std::memory_order_relaxed);
    if (caller < 0 || caller >= CPU_SETSIZE || caller != processor()) return;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) || CPU_COUNT(&allowed) < 2) return;
    cpu_set_t others = allowed;
    CPU_CLR(caller, &others);
    if (CPU_COUNT(&others) && !sched_setaffinity(0, sizeof others, &others)) sched_setaffinity(0, sizeof allowed, &allowed);
#endif
  }

  void help(int number) {
    const auto wanted = [&] {
      return left(tickets_.load(std::memory_order_acquire)) && number < wanted_.load(std::memory_order_relaxed);
    };
    for (auto since = std::chrono::steady_clock::now();;) {
      step_aside();
      if (wanted()) {
        work();
        since = std::chrono::steady_clock::now();
        continue;
      }
      for (int i = 0; i < 64 && !wanted(); ++i) pause();
      if (std::chrono::steady_clock::now() - since < std::chrono::milliseconds(2)) continue;
      std::unique_lock<std::mutex> lock(sleep_);
      if (wanted()) continue;
      sleepers_.fetch_add(1);
      // Waking up may take longer than the others need for the work, so any call ends the sleep: the next one finds it awake.
      wake_.wait(lock, [&, seen = calls_] { return calls_ != seen; });
      sleepers_.fetch_sub(1);
      since = std::chrono::steady_clock::now();
    }
  }

  std::atomic<const void*> taken_by_{nullptr};
  std::mutex sleep_;
  std::condition_variable wake_;
  std::vector<std::thread> threads_;
  void (*task_)(void*, int64_t) = nullptr;
  void* context_ = nullptr;
  int64_t count_ = 0;
  uint64_t calls_ = 0;  // guarded by sleep_
  std::atomic<int> wanted_{0}, sleepers_{0}, caller_{-1};
  alignas(64) std::atomic<uint64_t> tickets_{0};
  alignas(64) std::atomic<int64_t> done_{0};
};

}  // namespace snnrun
