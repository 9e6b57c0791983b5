// A frame to a byte link: END, the bytes that come in and their check sum with END and ESC escaped, END.
module frame_tx (
    input  wire       clk,
    input  wire       rst,
    input  wire       in_valid,
    output wire       in_ready,
    input  wire       in_last,
    input  wire [7:0] in_data,
    output reg        out_valid,
    input  wire       out_ready,
    output reg  [7:0] out_data
);
  localparam [2:0] BEGIN = 3'd0, BYTES = 3'd1, SUM = 3'd2, END = 3'd3;

  reg [2:0] state;
  reg [1:0] place;  // byte of the check sum
  reg escaping;     // ESC is on its way, the other byte follows
  reg [31:0] crc;
  wire [31:0] crc_next;
  crc32 of_byte (
      .crc (crc),
      .data(in_data),
      .next(crc_next)
  );

  wire [7:0] plain = state == SUM ? ~crc[7:0] : in_data;
  wire special = plain == psconv_link::END || plain == psconv_link::ESC;
  wire free = !out_valid || out_ready;
  wire has = state == SUM || (state == BYTES && in_valid);
  wire taken = free && has && (!special || escaping);
  assign in_ready = state == BYTES && taken;

  always @(posedge clk) begin
    if (out_ready) out_valid <= 1'b0;
    if (free) begin
      if (state == BEGIN ? in_valid : state == END) begin
        out_valid <= 1'b1;
        out_data  <= psconv_link::END;
        crc       <= 32'hffffffff;
        place     <= 2'd0;
        state     <= state == BEGIN ? BYTES : BEGIN;
      end else if (has) begin
        out_valid <= 1'b1;
        escaping  <= special && !escaping;
        out_data  <= !special ? plain : !escaping ? psconv_link::ESC :
                     plain == psconv_link::END ? psconv_link::ESC_END : psconv_link::ESC_ESC;
        if (taken) begin
          if (state == BYTES) begin
            crc <= crc_next;
            if (in_last) state <= SUM;
          end else begin
            crc   <= {8'd0, crc[31:8]};
            place <= place + 2'd1;
            if (place == 2'd3) state <= END;
          end
        end
      end
    end
    if (rst) begin
      state     <= BEGIN;
      escaping  <= 1'b0;
      out_valid <= 1'b0;
    end
  end
endmodule
