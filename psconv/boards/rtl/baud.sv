// `tick` at INCREMENT / 2**24 of the clock, on average: each tick is at most one cycle early or late.
module baud #(
    parameter [24:0] INCREMENT = 25'd0
) (
    input  wire clk,
    output reg  tick
);
  reg [23:0] phase = 24'd0;
  wire [24:0] next = {1'b0, phase} + INCREMENT;

  always @(posedge clk) begin
    phase <= next[23:0];
    tick  <= next[24];
  end
endmodule
