// One run of an accelerator that has an AXI4 master `maxi` and an AXI4-Lite slave `saxi`, in an ideal memory.
//
// Ideal: every address and every data beat written is taken at once, the first beat of a burst read comes in the cycle
// after its address, and bursts follow each other without a gap. No memory is quicker.
//
// Arguments: memory before (a file of bytes), memory after, cycles that are allowed, start register, the others as
// ADDRESS=VALUE, written before it. The run ends with `irq`. Prints JSON: cycles from the start register's write to
// `irq`, bytes read and written.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

namespace {

struct Burst {
    uint64_t address;
    unsigned beats;
};

[[noreturn]] void fail(const std::string& message) {
    std::fprintf(stderr, "error: %s\n", message.c_str());
    std::exit(1);
}

class Memory {
public:
    explicit Memory(const char* path) {
        std::ifstream file(path, std::ios::binary);
        bytes_.assign(std::istreambuf_iterator<char>(file), {});
    }

    void save(const char* path) const { std::ofstream(path, std::ios::binary).write(bytes_.data(), bytes_.size()); }

    char* at(uint64_t address, size_t size) {
        if (address + size > bytes_.size()) fail("access beyond the memory: address " + std::to_string(address));
        return bytes_.data() + address;
    }

private:
    std::vector<char> bytes_;
};

class Bench {
public:
    explicit Bench(const char* path) : memory(path) {
        // Inputs that are not driven are random, like registers.
        top_.maxi_arready = top_.maxi_awready = top_.maxi_wready = 1;
        top_.maxi_rvalid = top_.maxi_rresp = top_.maxi_bvalid = top_.maxi_bresp = 0;
        top_.saxi_awvalid = top_.saxi_wvalid = top_.saxi_arvalid = 0;
        top_.saxi_bready = top_.saxi_rready = 1;
        for (top_.RESETN = 0; now < RESET; ++now) {
            top_.CLK = 0;
            top_.eval();
            top_.CLK = 1;
            top_.eval();
        }
        top_.RESETN = 1;
        while (now < 2 * RESET) cycle();
    }

    bool done() const { return top_.irq; }

    // One clock cycle: what the design shows before the edge is taken, what answers it is there after the edge.
    void cycle() {
        top_.CLK = 0;
        top_.eval();
        const bool read_taken = top_.maxi_rvalid && top_.maxi_rready;
        const bool response_taken = top_.maxi_bvalid && top_.maxi_bready;
        address_taken_ = top_.saxi_awvalid && top_.saxi_awready;
        data_taken_ = top_.saxi_wvalid && top_.saxi_wready;
        if (top_.maxi_arvalid) reads_.push_back({top_.maxi_araddr, top_.maxi_arlen + 1u});
        if (top_.maxi_awvalid) writes_.push_back({top_.maxi_awaddr, top_.maxi_awlen + 1u});
        if (top_.maxi_wvalid) {
            Beat beat;
            std::memcpy(beat.data, &top_.maxi_wdata, WIDTH);
            beat.strobe = top_.maxi_wstrb;
            beats_.push_back(beat);
        }
        top_.CLK = 1;
        top_.eval();
        ++now;
        write();
        if (response_taken) --responses_;
        top_.maxi_bvalid = responses_ > 0;
        read(read_taken);
    }

    // Through the slave port. Returns after the cycle in which the data were taken.
    void set(uint32_t address, uint32_t value) {
        top_.saxi_awaddr = address;
        top_.saxi_wdata = value;
        top_.saxi_wstrb = 0xf;
        top_.saxi_awvalid = top_.saxi_wvalid = 1;
        for (int left = 100; top_.saxi_awvalid || top_.saxi_wvalid; --left) {
            if (!left) fail("the slave port does not answer");
            cycle();
            if (address_taken_) top_.saxi_awvalid = 0;
            if (data_taken_) top_.saxi_wvalid = 0;
        }
    }

    Memory memory;
    uint64_t now = 0, bytes_read = 0, bytes_written = 0;

private:
    static constexpr uint64_t RESET = 16;  // cycles: registers are random before, and what they ask for counts for nothing
    static constexpr size_t WIDTH = sizeof(Vtop::maxi_rdata);
    struct Beat {
        char data[WIDTH];
        uint64_t strobe;
    };

    void write() {
        while (!beats_.empty() && !writes_.empty()) {
            Burst& burst = writes_.front();
            for (size_t i = 0; i < WIDTH; ++i) {
                if (beats_.front().strobe >> i & 1) *memory.at(burst.address + i, 1) = beats_.front().data[i];
            }
            bytes_written += WIDTH;
            beats_.pop_front();
            burst.address += WIDTH;
            if (!--burst.beats) {
                writes_.pop_front();
                ++responses_;
            }
        }
    }

    void read(bool taken) {
        if (taken) {
            Burst& burst = reads_.front();
            bytes_read += WIDTH;
            burst.address += WIDTH;
            if (!--burst.beats) reads_.pop_front();
        }
        top_.maxi_rvalid = !reads_.empty();
        if (reads_.empty()) return;
        std::memcpy(&top_.maxi_rdata, memory.at(reads_.front().address, WIDTH), WIDTH);
        top_.maxi_rlast = reads_.front().beats == 1;
    }

    Vtop top_;
    std::deque<Burst> reads_, writes_;
    std::deque<Beat> beats_;
    unsigned responses_ = 0;
    bool address_taken_ = false, data_taken_ = false;
};

}  // namespace

int main(int count, char** arguments) {
    Verilated::commandArgs(count, arguments);
    if (count < 5) fail("arguments: memory before, memory after, cycles, start register, ADDRESS=VALUE ...");
    Bench bench(arguments[1]);
    for (int i = 5; i < count; ++i) {
        if (arguments[i][0] == '+') continue;  // Verilator's
        char* end = nullptr;
        const uint32_t address = std::strtoul(arguments[i], &end, 10);
        if (*end != '=') fail(std::string("ADDRESS=VALUE expected, got ") + arguments[i]);
        bench.set(address, std::strtoul(end + 1, nullptr, 10));
    }
    bench.set(std::strtoul(arguments[4], nullptr, 10), 1);
    const uint64_t start = bench.now, limit = std::strtoull(arguments[3], nullptr, 10);
    while (!bench.done()) {
        if (bench.now - start >= limit) fail("not done after " + std::to_string(limit) + " cycles");
        bench.cycle();
    }
    bench.memory.save(arguments[2]);
    std::printf("{\"cycles\": %llu, \"bytes_read\": %llu, \"bytes_written\": %llu}\n",
                (unsigned long long)(bench.now - start), (unsigned long long)bench.bytes_read,
                (unsigned long long)bench.bytes_written);
}
