// Soft reset, and what the registers say of the images inside.
//
// An image is inside from the cycle in which the design takes its first beat to that in which it gives its last one,
// both included. `cycles` counts the cycles in which there is any, `image_cycles` those of them since the image before
// ended: the latency of an image that comes alone, the interval of images that come one after the other.
module psconv_axi_monitor (
    input wire clk,
    input wire rst_n,
    input wire reset,  // a pulse
    output logic core_rst_n,

    input wire begins,
    input wire ends,
    input wire packet,  // the last beat of a packet of scores is taken
    output wire occupied,
    output logic [31:0] images,
    output logic [31:0] packets,
    output logic [63:0] cycles,
    output logic [63:0] image_cycles
);
  // Longer than any stage of a design's own reset; the last cycle is one without reset to start from.
  localparam logic [4:0] LENGTH = 5'd16;

  logic [4:0] left;
  logic [15:0] count;
  logic [63:0] since;  // cycles since the last image ended
  wire any = occupied || begins;
  assign occupied = count != 0;

  always_ff @(posedge clk) begin
    if (!rst_n || reset) left <= LENGTH;
    else if (left != 0) left <= left - 1'b1;
    core_rst_n <= rst_n && !reset && left == 0;

    if (!core_rst_n) begin
      count <= '0;
      images <= '0;
      packets <= '0;
      cycles <= '0;
      image_cycles <= '0;
      since <= '0;
    end else begin
      count <= count + 16'(begins) - 16'(ends);
      cycles <= cycles + 64'(any);
      since <= ends ? '0 : since + 64'(any);
      if (ends) image_cycles <= since + 1'b1;
      images <= images + 32'(ends);
      packets <= packets + 32'(packet);
    end
  end
endmodule
