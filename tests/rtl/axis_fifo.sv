// AXI4-Stream FIFO of DEPTH beats, latency 1: a beat written at one edge can be read at the next.
// `fault` chooses one deliberate defect for the tests of the bench; SOUND is a sound FIFO.
package axis_fifo_pkg;
  typedef enum logic [4:0] {
    SOUND,
    HANG,
    MUTE,
    DROP,
    REPEAT,
    REORDER,
    FLIP,
    LAST_MISSING,
    LAST_EARLY,
    UNSTABLE,
    WITHDRAW,
    KEEP,
    VALID_IN_RESET,
    NO_RESET,
    BABBLE,
    TOO_MANY,
    LAST_UNSTABLE
  } fault_t;
endpackage

module axis_fifo
  import axis_fifo_pkg::*;
#(
    parameter int BYTES = 2,
    parameter int DEPTH = 4,
    parameter int AT = 21,  // the beat at which the defect shows, counted at the input
    parameter int LAST = 96  // beats of a whole run
) (
    input  logic               ap_clk,
    input  logic               ap_rst_n,
    input  logic [        4:0] fault,
    input  logic [8*BYTES-1:0] x_TDATA,
    input  logic               x_TVALID,
    output logic               x_TREADY,
    input  logic               x_TLAST,
    input  logic [  BYTES-1:0] x_TKEEP,
    input  logic [  BYTES-1:0] x_TSTRB,
    output logic [8*BYTES-1:0] y_TDATA,
    output logic               y_TVALID,
    input  logic               y_TREADY,
    output logic               y_TLAST,
    output logic [  BYTES-1:0] y_TKEEP,
    output logic [  BYTES-1:0] y_TSTRB
);
  typedef struct packed {
    logic                last;
    logic [8*BYTES-1:0] data;
  } beat_t;

  localparam int PtrBits = $clog2(DEPTH);

  beat_t memory[DEPTH];
  beat_t in, out;
  logic [PtrBits:0] head, tail, fill;
  logic [31:0] pushed, popped;
  logic [PtrBits-1:0] slot;
  logic [1:0] swap;
  logic push, pop, hang, withdraw, half_swapped, babble;

  assign fill = tail - head;
  assign hang = fault == HANG && pushed >= AT;
  assign x_TREADY = ap_rst_n && !fill[PtrBits] && !hang;
  // Withdraws the offered beat for a cycle once it has waited for one.
  // Sends old beats again once there is no new one: for ever, or one beat behind the last.
  assign babble = (fault == BABBLE && popped >= LAST) || (fault == TOO_MANY && popped == LAST);
  assign y_TVALID = ((fill != 0 || babble) && !withdraw && !half_swapped && !(fault == MUTE && popped >= AT)) ||
                    (fault == VALID_IN_RESET && !ap_rst_n);
  assign push = x_TVALID && x_TREADY && !(fault == DROP && pushed == AT);
  assign pop = y_TVALID && y_TREADY;

  always_comb begin
    in = '{last: x_TLAST, data: x_TDATA};
    if (fault == FLIP && pushed == AT) in.data[0] = !in.data[0];
    if (fault == LAST_MISSING && pushed >= AT && pushed < AT + 32) in.last = 1'b0;
    if (fault == LAST_EARLY && pushed == AT) in.last = 1'b1;
  end

  // Swaps the slots of the beats AT and AT+1, and shows neither before both are there.
  assign swap = fault != REORDER ? 2'd0 : pushed == AT ? 2'd1 : pushed == AT + 1 ? 2'd3 : 2'd0;
  assign half_swapped = fault == REORDER && popped == AT && pushed == AT + 1;
  assign slot = tail[PtrBits-1:0] + PtrBits'($signed(swap));
  assign out = memory[head[PtrBits-1:0]];

  assign y_TDATA = out.data ^ ((fault == UNSTABLE && !y_TREADY) ? 1 : 0);
  assign y_TLAST = out.last ^ (fault == LAST_UNSTABLE && !y_TREADY);
  assign y_TKEEP = fault == KEEP && popped == AT ? {BYTES{1'b0}} : {BYTES{1'b1}};
  assign y_TSTRB = {BYTES{1'b1}};

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n && fault != NO_RESET) begin
      head <= '0;
      tail <= '0;
      pushed <= '0;
      popped <= '0;
      withdraw <= 1'b0;
    end else begin
      withdraw <= fault == WITHDRAW && y_TVALID && !y_TREADY;
      if (x_TVALID && x_TREADY) pushed <= pushed + 1;
      if (push) begin
        memory[slot] <= in;
        tail <= tail + 1'b1;
      end
      if (pop) begin
        popped <= popped + 1;
        if (!(fault == REPEAT && popped == AT) && fill != 0) head <= head + 1'b1;
      end
    end
  end
endmodule
