// What stands around an engine on a board: a serial line, frames, and what does what they ask for.
//
// Another byte link takes the place of baud, uart_rx and uart_tx: one that gives a byte with in_valid, and takes one with
// out_valid and out_ready.
module shell #(
    parameter [24:0] INCREMENT = 25'd0,         // of baud
    parameter integer FIFO_BITS = 11,
    parameter integer TIMEOUT = 1000000,
    parameter integer X_BYTES = 1,
    parameter integer Y_BYTES = 1,
    parameter integer IMAGE_BYTES = 64,
    parameter integer OUT_BYTES = 10,
    parameter integer OUT_BITS = 4,
    parameter integer ENGINE_TIMEOUT = 1000000,
    parameter integer INFO_BYTES = 1,
    parameter [8*INFO_BYTES-1:0] INFO = 8'd0
) (
    input  wire                 clk,
    input  wire                 rst,
    input  wire                 rx,
    output wire                 tx,
    output wire [          3:0] leds,           // alive, busy, last answer an error, an image since the reset
    output wire                 engine_rst_n,
    output wire                 x_tvalid,
    input  wire                 x_tready,
    output wire                 x_tlast,
    output wire [8*X_BYTES-1:0] x_tdata,
    input  wire                 y_tvalid,
    output wire                 y_tready,
    input  wire [8*Y_BYTES-1:0] y_tdata
);
  wire tick;
  wire in_valid, in_broken, out_valid, out_ready;
  wire [7:0] in_data, out_data;
  wire frame_valid, frame_ready, answer_valid, answer_ready, answer_last;
  wire [7:0] frame_data, answer_data;
  reg [24:0] alive;
  always @(posedge clk) alive <= rst ? 25'd0 : alive + 25'd1;
  assign leds[0] = alive[24];
  assign leds[1] = frame_valid || answer_valid;

  baud #(
      .INCREMENT(INCREMENT)
  ) rate (
      .clk (clk),
      .tick(tick)
  );
  uart_rx receiver (
      .clk   (clk),
      .rst   (rst),
      .tick  (tick),
      .line  (rx),
      .valid (in_valid),
      .broken(in_broken),
      .data  (in_data)
  );
  uart_tx sender (
      .clk  (clk),
      .rst  (rst),
      .tick (tick),
      .valid(out_valid),
      .ready(out_ready),
      .data (out_data),
      .line (tx)
  );
  frame_rx #(
      .BITS   (FIFO_BITS),
      .TIMEOUT(TIMEOUT)
  ) frames (
      .clk      (clk),
      .rst      (rst),
      .in_valid (in_valid),
      .in_broken(in_broken),
      .in_data  (in_data),
      .out_valid(frame_valid),
      .out_ready(frame_ready),
      .out_data (frame_data)
  );
  frame_tx answers (
      .clk      (clk),
      .rst      (rst),
      .in_valid (answer_valid),
      .in_ready (answer_ready),
      .in_last  (answer_last),
      .in_data  (answer_data),
      .out_valid(out_valid),
      .out_ready(out_ready),
      .out_data (out_data)
  );
  executor #(
      .X_BYTES       (X_BYTES),
      .Y_BYTES       (Y_BYTES),
      .IMAGE_BYTES   (IMAGE_BYTES),
      .OUT_BYTES     (OUT_BYTES),
      .OUT_BITS      (OUT_BITS),
      .ENGINE_TIMEOUT(ENGINE_TIMEOUT),
      .INFO_BYTES    (INFO_BYTES),
      .INFO          (INFO)
  ) commands (
      .clk         (clk),
      .rst         (rst),
      .in_valid    (frame_valid),
      .in_ready    (frame_ready),
      .in_data     (frame_data),
      .out_valid   (answer_valid),
      .out_ready   (answer_ready),
      .out_last    (answer_last),
      .out_data    (answer_data),
      .engine_rst_n(engine_rst_n),
      .x_tvalid    (x_tvalid),
      .x_tready    (x_tready),
      .x_tlast     (x_tlast),
      .x_tdata     (x_tdata),
      .y_tvalid    (y_tvalid),
      .y_tready    (y_tready),
      .y_tdata     (y_tdata),
      .failed      (leds[2]),
      .worked      (leds[3])
  );
endmodule
