// AXI4-Stream source: offers the beats of a file in order, each after a pseudo-random number of idle cycles.
// Once TVALID is high it stays so, and the payload with it, until the beat is accepted.
//
// The file has 1 + Bytes bytes a beat: TLAST, then TDATA from its highest byte down (rtl_tb/records.py).
module axis_source #(
    parameter int Bytes = 1,
    parameter string File = "source.bin"
) (
    input  logic               clk_i,
    input  logic               enable_i,    // low: nothing is offered, and the next beat is the file's first
    input  logic [       63:0] seed_i,
    input  logic [       31:0] idle_i,      // chance of an idle cycle, in units of 2**-32
    input  logic [       63:0] beats_i,     // how many beats the file has
    input  logic [       63:0] cycle_i,
    output logic [8*Bytes-1:0] tdata_o,
    output logic               tvalid_o,
    input  logic               tready_i,
    output logic               tlast_o,
    output logic [       63:0] accepted_o,  // beats that the design took
    output logic [       63:0] waiting_o,   // cycles in which it did not take an offered one
    output logic [       63:0] first_o,     // cycle of the first accepted beat
    output logic [       63:0] last_o       // cycle of the latest one
);
  typedef struct packed {
    logic [6:0] unused;
    logic last;
    logic [8*Bytes-1:0] data;
  } beat_t;

  int file;
  beat_t beat_d[1];  // $fread fills arrays in every simulator, vectors not in all
  beat_t beat_q;
  logic valid_q;
  logic [63:0] offered_q, random_q;

  initial file = $fopen(File, "rb");

  assign tvalid_o = valid_q && enable_i;
  assign tdata_o  = beat_q.data;
  assign tlast_o  = beat_q.last;

  always_ff @(posedge clk_i) begin
    if (!enable_i) begin
      valid_q <= 1'b0;
      beat_q <= '0;
      random_q <= seed_i;
      {offered_q, accepted_o, waiting_o, first_o, last_o} <= '0;
      void'($rewind(file));
    end else if (tvalid_o && !tready_i) begin
      waiting_o <= waiting_o + 1;
    end else begin
      if (tvalid_o) begin
        accepted_o <= accepted_o + 1;
        first_o <= accepted_o == 0 ? cycle_i : first_o;
        last_o <= cycle_i;
      end
      random_q <= bench_random::next(random_q);
      valid_q <= offered_q != beats_i && !bench_random::hit(random_q, idle_i);
      if (offered_q != beats_i && !bench_random::hit(random_q, idle_i)) begin
        void'($fread(beat_d, file));
        beat_q <= beat_d[0];
        offered_q <= offered_q + 1;
      end
    end
  end
endmodule
