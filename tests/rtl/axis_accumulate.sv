// Sums COUNT one-byte beats into one beat, after WAIT idle cycles: an engine that is long silent.
// Input and output rate differ, and TLAST comes with every SUMS-th sum.
module axis_accumulate #(
    parameter int COUNT = 4,
    parameter int WAIT = 50,
    parameter int SUMS = 8
) (
    input  logic       ap_clk,
    input  logic       ap_rst_n,
    input  logic [7:0] x_TDATA,
    input  logic       x_TVALID,
    output logic       x_TREADY,
    input  logic       x_TLAST,
    output logic [7:0] y_TDATA,
    output logic       y_TVALID,
    input  logic       y_TREADY,
    output logic       y_TLAST
);
  logic [15:0] taken, waited, sums;
  logic [7:0] sum;
  logic unused_last;

  assign unused_last = x_TLAST;
  assign x_TREADY = ap_rst_n && taken < COUNT;
  assign y_TVALID = ap_rst_n && taken == COUNT && waited == WAIT;
  assign y_TDATA  = sum;
  assign y_TLAST  = sums == SUMS - 1;

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      taken <= '0;
      waited <= '0;
      sums <= '0;
      sum <= '0;
    end else if (taken < COUNT) begin
      if (x_TVALID) begin
        taken <= taken + 1;
        sum <= sum + x_TDATA;
      end
    end else if (waited < WAIT) begin
      waited <= waited + 1;
    end else if (y_TREADY) begin
      taken <= '0;
      waited <= '0;
      sum <= '0;
      sums <= y_TLAST ? '0 : sums + 1;
    end
  end
endmodule
