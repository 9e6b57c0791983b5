// AXI4-Stream sink: takes beats with pseudo-random back-pressure and records each with the cycle it came in.
//
// A record of the file is, from the lowest byte up: the cycle (8 bytes), TLAST (4), TDATA, padded to whole
// 4 bytes (rtl_tb/records.py). A restart goes on in the same file.
module axis_sink #(
    parameter int Bytes = 1,
    parameter string File = "sink.bin"
) (
    input  logic               clk_i,
    input  logic               enable_i,        // low: nothing is taken
    input  logic               halted_i,        // rises when the file is to be read
    input  logic [       63:0] seed_i,
    input  logic [       31:0] backpressure_i,  // chance of a cycle with TREADY low, in units of 2**-32
    input  logic [       63:0] cycle_i,
    input  logic [8*Bytes-1:0] tdata_i,
    input  logic               tvalid_i,
    output logic               tready_o,
    input  logic               tlast_i,
    output logic [       63:0] received_o,
    output logic [       63:0] waiting_o        // cycles in which an offered beat was not taken
);
  typedef struct packed {
    logic [32*((Bytes+3)/4)-1:0] data;
    logic [31:0] last;
    logic [63:0] cycle;
  } record_t;

  int file;
  record_t record;
  logic ready_q;
  logic [63:0] random_q;

  initial file = $fopen(File, "wb");
  always @(posedge halted_i) $fflush(file);

  assign tready_o = ready_q && enable_i;
  assign record   = '{data: $bits(record.data)'(tdata_i), last: 32'(tlast_i), cycle: cycle_i};

  always_ff @(posedge clk_i) begin
    if (!enable_i) begin
      ready_q <= 1'b0;
      random_q <= seed_i;
      {received_o, waiting_o} <= '0;
    end else begin
      ready_q <= !bench_random::hit(random_q, backpressure_i);
      random_q <= bench_random::next(random_q);
      if (tvalid_i && tready_o) begin
        received_o <= received_o + 1;
        $fwrite(file, "%u", record);
      end else if (tvalid_i) begin
        waiting_o <= waiting_o + 1;
      end
    end
  end
endmodule
