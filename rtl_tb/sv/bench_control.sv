// Counts the cycles of a run and ends it: when it is complete and stays so for `drain_i` cycles, when it was
// to be cut short, when the design sends without end, or when no beat has moved for `timeout_i` cycles.
module bench_control (
    input  logic        clk_i,
    input  logic        reset_i,
    input  logic        enable_i,
    input  logic        moved_i,     // a beat is transferred at this edge
    input  logic        complete_i,  // every beat is sent and every expected one is there
    input  logic        cut_i,
    input  logic        overrun_i,
    input  logic [31:0] drain_i,
    input  logic [31:0] timeout_i,
    output logic [63:0] cycle_o,     // number of the next edge: 0 for the one that ends the first cycle out of reset
    output logic        halted_o,
    output logic        stuck_o      // halted because no beat has moved
);
  logic halted_q, finished, stuck, reset_q;
  logic [31:0] quiet_q, quiet;

  initial begin
    cycle_o  = '0;
    halted_q = 1'b0;
  end

  assign halted_o = halted_q && enable_i;
  assign quiet    = moved_i ? '0 : quiet_q + 1;
  assign finished = complete_i && quiet >= drain_i;
  assign stuck    = !complete_i && quiet >= timeout_i;

  always_ff @(posedge clk_i) begin
    reset_q  <= reset_i;
    cycle_o  <= reset_i || reset_q ? '0 : cycle_o + 1;
    quiet_q  <= enable_i ? quiet : '0;
    halted_q <= enable_i && (cut_i || overrun_i || finished || stuck);
    stuck_o  <= stuck;
  end
endmodule
