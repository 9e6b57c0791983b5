// Bytes to an asynchronous serial line, as uart_rx reads them. `tick` comes eight times a bit.
module uart_tx (
    input  wire       clk,
    input  wire       rst,
    input  wire       tick,
    input  wire       valid,
    output wire       ready,
    input  wire [7:0] data,
    output reg        line
);
  reg [8:0] shift;  // what is still to be sent, the stop bit last
  reg [3:0] left;   // bits to be sent
  reg [2:0] phase;
  assign ready = left == 4'd0;

  always @(posedge clk) begin
    if (ready) begin
      phase <= 3'd0;
      if (valid) begin
        shift <= {1'b1, data};
        left  <= 4'd11;  // the rest of a tick, start bit, eight data bits, stop bit
      end
    end else if (tick) begin
      phase <= left == 4'd11 ? 3'd0 : phase + 3'd1;
      if (left == 4'd11) begin
        line <= 1'b0;
        left <= 4'd10;
      end else if (phase == 3'd7) begin
        line  <= shift[0];
        shift <= {1'b1, shift[8:1]};
        left  <= left - 4'd1;
      end
    end
    if (rst) begin
      left <= 4'd0;
      line <= 1'b1;
    end
  end
endmodule
