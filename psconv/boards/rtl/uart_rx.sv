// Bytes from an asynchronous serial line: 8 data bits, the lowest first, no parity, one stop bit.
//
// `tick` comes eight times a bit. Of three neighbouring samples the majority counts, in the middle of each bit, so one
// wrong sample changes nothing. Nothing is kept: a byte that nobody takes in its cycle is gone.
module uart_rx (
    input  wire       clk,
    input  wire       rst,
    input  wire       tick,
    input  wire       line,   // asynchronous
    output reg        valid,  // for one cycle: a byte, or a line that was low where the stop bit should be
    output reg        broken, // with valid: no stop bit
    output reg  [7:0] data
);
  localparam [1:0] IDLE = 2'd0, START = 2'd1, BITS = 2'd2, HIGH = 2'd3;

  reg [1:0] sync;
  reg [2:0] sample;
  reg [1:0] state;
  reg [2:0] left;   // ticks to the middle of the bit
  reg [3:0] count;  // bits received
  wire majority = (sample[0] & sample[1]) | (sample[1] & sample[2]) | (sample[0] & sample[2]);

  always @(posedge clk) begin
    sync  <= {sync[0], line};
    valid <= 1'b0;
    if (tick) begin
      sample <= {sample[1:0], sync[1]};
      left   <= left - 3'd1;
      case (state)
        IDLE: begin
          left  <= 3'd2;
          count <= 4'd0;
          if (!majority) state <= START;
        end
        START:
        if (left == 3'd0) state <= majority ? IDLE : BITS;  // a glitch is no start bit
        BITS:
        if (left == 3'd0) begin
          if (count == 4'd8) begin
            valid  <= 1'b1;
            broken <= !majority;
            state  <= majority ? IDLE : HIGH;
          end else begin
            data  <= {majority, data[7:1]};
            count <= count + 4'd1;
          end
        end
        default: if (majority) state <= IDLE;  // a line that stays low is no further byte
      endcase
    end
    if (rst) begin
      sync   <= 2'b11;
      sample <= 3'b111;
      state  <= IDLE;
      valid  <= 1'b0;
    end
  end
endmodule
