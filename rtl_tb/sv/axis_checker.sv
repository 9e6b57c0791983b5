// The rules of AXI4-Stream (Arm IHI 0051A, 2.2 and 2.7) on one stream, at every edge:
// TVALID, once high, stays so until TREADY, and the payload with it; TVALID is low in reset; no signal that
// counts is X or Z; every byte of a beat is kept (a rule of this bench: its streams have no null bytes).
// Writes a line of text for each of the first MaxErrors violations.
module axis_checker #(
    parameter int Bytes = 1,
    parameter string Name = "stream",
    parameter string File = "checker.txt",
    parameter int MaxErrors = 20
) (
    input  logic               clk_i,
    input  logic               reset_i,
    input  logic               halted_i,  // rises when the file is to be read
    input  logic [       63:0] cycle_i,
    input  logic [8*Bytes-1:0] tdata_i,
    input  logic               tvalid_i,
    input  logic               tready_i,
    input  logic               tlast_i,
    input  logic [  Bytes-1:0] tkeep_i,
    input  logic [  Bytes-1:0] tstrb_i,
    output logic [       31:0] errors_o
);
  // A synchronous reset needs an edge to act, a registered one a few more.
  localparam int Settle = 4;

  typedef struct packed {
    logic last;
    logic [Bytes-1:0] keep, strb;
    logic [8*Bytes-1:0] data;
  } payload_t;

  int file;
  int in_reset_q;
  payload_t payload, held_q;
  logic waiting_q;  // a beat was offered at the last edge and not taken
  logic changed, unknown, not_kept;

  initial begin
    file = $fopen(File, "w");
    in_reset_q = 0;
    waiting_q = 1'b0;
    errors_o = '0;
  end
  always @(posedge halted_i) $fflush(file);

  assign payload  = '{last: tlast_i, keep: tkeep_i, strb: tstrb_i, data: tdata_i};
  assign changed  = waiting_q && payload !== held_q;
  assign unknown  = $isunknown(payload) || $isunknown(tready_i);
  assign not_kept = !(&tkeep_i && &tstrb_i);

  // Blocking, so that several violations of one edge all count.
  task automatic fail(input string text);
    if (errors_o < MaxErrors) $fdisplay(file, "protocol: %s, cycle %0d: %s", Name, cycle_i, text);
    errors_o = errors_o + 1;
  endtask

  task automatic check_payload();
    if (changed && payload.data !== held_q.data) fail("TDATA changed while the beat waited for TREADY");
    if (changed && payload.last !== held_q.last) fail("TLAST changed while the beat waited for TREADY");
    if (changed && payload.keep !== held_q.keep) fail("TKEEP changed while the beat waited for TREADY");
    if (changed && payload.strb !== held_q.strb) fail("TSTRB changed while the beat waited for TREADY");
    if ($isunknown(tdata_i)) fail($sformatf("TDATA has X or Z bits: 0b%b", tdata_i));
    if ($isunknown(tlast_i)) fail("TLAST is X or Z");
    if ($isunknown(tready_i)) fail("TREADY is X or Z");
    if (!(&tkeep_i)) fail($sformatf("TKEEP marks bytes as not part of the beat: 0b%b", tkeep_i));
    if (!(&tstrb_i)) fail($sformatf("TSTRB marks bytes as not part of the beat: 0b%b", tstrb_i));
  endtask

  always @(posedge clk_i) begin
    waiting_q <= !reset_i && tvalid_i && !tready_i;
    held_q <= payload;
    in_reset_q <= !reset_i ? 0 : in_reset_q < Settle ? in_reset_q + 1 : Settle;
    if (reset_i) begin
      if (in_reset_q == Settle && tvalid_i !== 1'b0) fail("TVALID is not low in reset");
    end else if ($isunknown(tvalid_i)) begin
      fail("TVALID is X or Z");
    end else if (tvalid_i) begin
      if (changed || unknown || not_kept) check_payload();
    end else if (waiting_q) begin
      fail("TVALID fell before TREADY: the offered beat is withdrawn");
    end
  end
endmodule
