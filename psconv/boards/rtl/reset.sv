// A reset that begins at once and ends with the clock: at power-on, while `hold` is high, and 2**16 cycles longer, so
// that a clock that has just locked and a bouncing button are left behind.
module reset #(
    parameter integer BITS = 16
) (
    input  wire clk,
    input  wire hold,  // asynchronous
    output reg  rst
);
  reg [1:0] sync = 2'b11;
  reg [BITS:0] count = {(BITS + 1) {1'b0}};
  initial rst = 1'b1;

  always @(posedge clk or posedge hold) begin
    if (hold) sync <= 2'b11;
    else sync <= {sync[0], 1'b0};
  end

  always @(posedge clk) begin
    if (sync[1]) count <= {(BITS + 1) {1'b0}};
    else if (!count[BITS]) count <= count + 1'd1;
    rst <= sync[1] || !count[BITS];
  end
endmodule
