// CRC-32 (IEEE 802.3, reflected) of one byte more. It starts at all ones, and is sent inverted, the lowest byte first.
// Behind a frame with its check sum the register holds psconv_link::RESIDUE.
module crc32 (
    input  wire [31:0] crc,
    input  wire [ 7:0] data,
    output reg  [31:0] next
);
  integer k;
  always @* begin
    next = crc ^ {24'd0, data};
    for (k = 0; k < 8; k = k + 1) next = (next >> 1) ^ (next[0] ? psconv_link::POLYNOMIAL : 32'd0);
  end
endmodule
