// Frames from a byte link: what is whole and right is kept and comes out, byte for byte, without its check sum; for each
// that is not there comes a short frame of the kind BROKEN out, with the reason.
//
// The memory is a ring. A frame is written behind the last good one as it comes in; `kept` moves only when it has ended
// well, so that no byte of a bad frame is ever read. What does not fit is a bad frame. A frame that stops in the middle
// is bad after TIMEOUT cycles. An empty frame (two END in a row) is nothing.
module frame_rx #(
    parameter integer BITS = 11,  // 2**BITS bytes
    parameter integer TIMEOUT = 1000000
) (
    input  wire       clk,
    input  wire       rst,
    input  wire       in_valid,
    input  wire       in_broken,
    input  wire [7:0] in_data,
    output reg        out_valid,
    input  wire       out_ready,
    output reg  [7:0] out_data
);
  reg [7:0] memory[0:(1<<BITS)-1];
  reg [BITS-1:0] at, kept, read;  // next to be written; where the good frames end; next to be read

  reg escaped, bad, full;
  reg [7:0] reason;
  reg [7:0] sequence_number;
  reg [15:0] length;
  reg [16:0] count;  // bytes of this frame, with header and check sum
  reg [31:0] crc, silence;
  reg [2:0] told;  // bytes of a BROKEN frame still to be written

  wire [7:0] plain = !escaped ? in_data : in_data == psconv_link::ESC_END ? psconv_link::END : psconv_link::ESC;
  wire [31:0] crc_next;
  crc32 of_byte (
      .crc (crc),
      .data(plain),
      .next(crc_next)
  );

  wire [BITS-1:0] space = read - at - 1'd1;
  wire [BITS-1:0] room = read - kept - 1'd1;  // for BROKEN, where nothing is kept of the frame
  wire ends = in_valid && !in_broken && in_data == psconv_link::END;
  wire stops = silence == TIMEOUT;
  wire started = count != 17'd0 || escaped || bad;
  wire whole = count == {1'b0, length} + psconv_link::OVERHEAD;

  reg [7:0] told_data;
  always @* begin
    case (told)
      3'd5: told_data = psconv_link::BROKEN;
      3'd4: told_data = sequence_number;
      3'd3: told_data = 8'd1;
      3'd2: told_data = 8'd0;
      default: told_data = reason;
    endcase
  end

  wire store = in_valid && !in_broken && !ends && !(in_data == psconv_link::ESC && !escaped);
  wire writes = told != 3'd0 || (store && !full && space > 6);
  wire [7:0] written = told != 3'd0 ? told_data : plain;

  always @(posedge clk) begin
    if (writes) memory[at] <= written;
    out_data <= memory[read];
  end

  always @(posedge clk) begin
    silence <= in_valid || !started ? 32'd0 : silence + 32'd1;
    if (told != 3'd0) begin
      told <= told - 3'd1;
      at   <= at + 1'd1;
      if (told == 3'd1) kept <= at + 1'd1;
    end else if (ends || stops) begin
      // In the order of what is most likely the first thing that went wrong.
      if (started) begin
        at <= kept;
        if (stops || bad || escaped || full || !whole || crc != psconv_link::RESIDUE) begin
          if (room > 5) told <= 3'd5;
          reason <= stops ? psconv_link::TIMED_OUT : full ? psconv_link::TOO_LONG :
                    bad || escaped ? psconv_link::BAD_BYTE :
                    crc != psconv_link::RESIDUE ? psconv_link::BAD_CRC : psconv_link::BAD_LENGTH;
        end else begin
          at   <= at - 3'd4;
          kept <= at - 3'd4;
        end
      end
      count   <= 17'd0;
      escaped <= 1'b0;
      bad     <= 1'b0;
      full    <= 1'b0;
      crc     <= 32'hffffffff;
      silence <= 32'd0;
      if (count < 17'd2) sequence_number <= 8'd0;
    end else if (in_valid) begin
      escaped <= !in_broken && !escaped && in_data == psconv_link::ESC;
      if (in_broken) bad <= 1'b1;
      if (escaped && in_data != psconv_link::ESC_END && in_data != psconv_link::ESC_ESC) bad <= 1'b1;
      if (store) begin
        crc <= crc_next;
        if (!count[16]) count <= count + 17'd1;
        if (!full && space > 6) at <= at + 1'd1;
        else full <= 1'b1;
        if (count == 17'd1) sequence_number <= plain;
        if (count == 17'd2) length[7:0] <= plain;
        if (count == 17'd3) length[15:8] <= plain;
      end
    end
    if (rst) begin
      at      <= {BITS{1'b0}};
      kept    <= {BITS{1'b0}};
      count   <= 17'd0;
      escaped <= 1'b0;
      bad     <= 1'b0;
      full    <= 1'b0;
      crc     <= 32'hffffffff;
      silence <= 32'd0;
      told    <= 3'd0;
    end
  end

  // The memory answers a cycle after its address.
  reg asked;
  always @(posedge clk) begin
    if (out_valid && out_ready) begin
      out_valid <= 1'b0;
      read      <= read + 1'd1;
      asked     <= 1'b0;
    end else if (!out_valid) begin
      asked     <= read != kept;
      out_valid <= asked;
    end
    if (rst) begin
      read      <= {BITS{1'b0}};
      asked     <= 1'b0;
      out_valid <= 1'b0;
    end
  end
endmodule
