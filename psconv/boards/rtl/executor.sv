// Does what frames ask for: bytes of good frames come in, bytes of the answers go out, one answer for each frame.
//
// Between stands an engine with AXI4-Stream ports. What it has of a packet is always whole frames; one that stops in the
// middle of a packet, or does not move for ENGINE_TIMEOUT cycles, is reset. psconv/boards/protocol.py describes the frames.
module executor #(
    parameter integer X_BYTES = 1,              // of a beat that goes into the engine
    parameter integer Y_BYTES = 1,              // of a beat that comes out
    parameter integer IMAGE_BYTES = 64,         // of a packet; 0: the engine takes packets of any size
    parameter integer OUT_BYTES = 10,           // of the beats for a packet
    parameter integer OUT_BITS = 4,             // 2**OUT_BITS >= OUT_BYTES
    parameter integer ENGINE_TIMEOUT = 1000000,
    parameter integer INFO_BYTES = 1,
    parameter [8*INFO_BYTES-1:0] INFO = 8'd0
) (
    input  wire                 clk,
    input  wire                 rst,
    input  wire                 in_valid,
    output wire                 in_ready,
    input  wire [          7:0] in_data,
    output reg                  out_valid,
    input  wire                 out_ready,
    output reg                  out_last,
    output reg  [          7:0] out_data,
    output reg                  engine_rst_n,
    output reg                  x_tvalid,
    input  wire                 x_tready,
    output reg                  x_tlast,
    output reg  [8*X_BYTES-1:0] x_tdata,
    input  wire                 y_tvalid,
    output wire                 y_tready,
    input  wire [8*Y_BYTES-1:0] y_tdata,
    output reg                  failed,         // the last answer was an error
    output reg                  worked          // there was an image since the reset
);
  localparam [3:0] HEAD = 4'd0, CHECK = 4'd1, DATA = 4'd2, ORDER = 4'd3, FEED = 4'd4, WAIT = 4'd5, DRAIN = 4'd6,
                   RESTART = 4'd7, REPLY = 4'd8, LOOK = 4'd9, SEND = 4'd10, REASON = 4'd11;

  reg [3:0] state, then;  // then: behind RESTART
  reg [31:0] head;
  reg [1:0] at;           // byte of a header
  reg [15:0] left;        // bytes of the frame still to come
  wire [7:0] kind = head[7:0];
  wire [15:0] length = head[31:16];

  reg [15:0] part, expected;
  reg last, open;         // last: part of the packet; open: the engine has parts of a packet, but not the last one
  reg [31:0] cycles, quiet;
  reg counting;

  // To the engine.
  reg [15:0] filled;      // bytes of the beat
  wire x_free = !x_tvalid || x_tready;
  wire beat_ends = filled == X_BYTES - 1 || left == 16'd1;
  wire takes = in_valid && in_ready;
  assign in_ready = state == HEAD || state == DATA || state == REASON || (state == DRAIN && left != 16'd0)
                    || (state == FEED && left != 16'd0 && !x_tvalid);

  // From the engine.
  reg [7:0] scores[0:(1<<OUT_BITS)-1];
  reg [8*Y_BYTES-1:0] y_beat;
  reg [15:0] y_left;      // bytes of the beat still to be stored
  reg [OUT_BITS:0] stored;
  wire complete = stored == OUT_BYTES;
  assign y_tready = counting && y_left == 16'd0 && !complete;
  wire y_moves = y_tvalid && y_tready;
  always @(posedge clk) begin
    if (y_left != 16'd0) scores[stored[OUT_BITS-1:0]] <= y_beat[7:0];
  end

  // The answer.
  reg [7:0] reply, reason;
  reg [16:0] sent;        // bytes of the answer
  reg [15:0] size;        // of its payload
  reg [7:0] score;
  wire [16:0] index = sent - 17'd4;         // in the payload
  wire [16:0] in_scores = sent - 17'd8;
  always @(posedge clk) score <= scores[in_scores[OUT_BITS-1:0]];
  reg [7:0] answer;
  always @* begin
    case (sent)
      17'd0: answer = reply;
      17'd1: answer = head[15:8];
      17'd2: answer = size[7:0];
      17'd3: answer = size[15:8];
      default:
      case (reply)
        psconv_link::INFO: answer = INFO[8*index[7:0]+:8];
        psconv_link::FAULT: answer = reason;
        default:
        case (sent)
          17'd4: answer = cycles[7:0];
          17'd5: answer = cycles[15:8];
          17'd6: answer = cycles[23:16];
          17'd7: answer = cycles[31:24];
          default: answer = score;
        endcase
      endcase
    endcase
  end

  reg [4:0] resetting;
  always @(posedge clk) begin
    if (takes) left <= left - 16'd1;
    if (x_tready) x_tvalid <= 1'b0;
    if (out_ready) out_valid <= 1'b0;
    engine_rst_n <= resetting == 5'd0;
    if (resetting != 5'd0) resetting <= resetting - 5'd1;
    if (counting && !complete) cycles <= cycles + 32'd1;
    quiet <= (x_tvalid && x_tready) || y_moves || (state != FEED && state != WAIT) ? 32'd0 : quiet + 32'd1;

    if (y_moves) begin
      y_beat <= y_tdata;
      y_left <= Y_BYTES;
    end else if (y_left != 16'd0) begin
      y_beat <= y_beat >> 8;
      y_left <= y_left - 16'd1;
      stored <= stored + 1'd1;
    end

    case (state)
      HEAD:
      if (takes) begin
        head <= {in_data, head[31:8]};
        at   <= at + 2'd1;
        if (at == 2'd3) state <= CHECK;
      end
      CHECK: begin
        left  <= length;
        state <= DRAIN;
        reply <= psconv_link::FAULT;
        size  <= 16'd1;
        case (kind)
          psconv_link::BROKEN: begin
            reason <= psconv_link::BAD_KIND;
            if (length == 16'd1) state <= REASON;
          end
          psconv_link::HELLO: begin
            reason <= psconv_link::BAD_SIZE;
            if (length == 16'd0) begin
              reply <= psconv_link::INFO;
              size  <= INFO_BYTES;
            end
          end
          psconv_link::RESTART: begin
            reason <= psconv_link::BAD_SIZE;
            if (length == 16'd0) begin
              reply <= psconv_link::DONE;
              size  <= 16'd0;
              then  <= DRAIN;
              state <= RESTART;
            end
          end
          psconv_link::PACKET: begin
            reason <= psconv_link::BAD_SIZE;
            if (IMAGE_BYTES == 0 ? length > 16'd3 : length == IMAGE_BYTES + 3) state <= DATA;
          end
          default: reason <= psconv_link::BAD_KIND;
        endcase
      end
      REASON:
      if (takes) begin
        reason <= in_data;
        state  <= DRAIN;
      end
      DATA:
      if (takes) begin
        at <= at + 2'd1;
        if (at == 2'd0) part[7:0] <= in_data;
        if (at == 2'd1) part[15:8] <= in_data;
        if (at == 2'd2) begin
          last  <= in_data[0];
          at    <= 2'd0;
          state <= ORDER;
        end
      end
      ORDER: begin
        filled <= 16'd0;
        if (part == 16'd0 && (IMAGE_BYTES == 0 || last)) begin
          expected <= 16'd1;
          cycles   <= 32'd0;
          stored   <= {(OUT_BITS + 1) {1'b0}};
          open     <= !last;
          then     <= FEED;
          state    <= open ? RESTART : FEED;  // of another packet the rest never came
        end else if (open && part == expected) begin
          expected <= expected + 16'd1;
          open     <= !last;
          state    <= FEED;
        end else begin
          reason <= psconv_link::BAD_ORDER;
          state  <= DRAIN;
          if (open && !last && part + 16'd1 == expected) begin  // again, as its answer was lost
            reply <= psconv_link::DONE;
            size  <= 16'd0;
          end
        end
      end
      FEED: begin
        if (takes) begin
          counting <= 1'b1;
          x_tdata[8*filled[15:0]+:8] <= in_data;
          filled   <= beat_ends ? 16'd0 : filled + 16'd1;
          x_tvalid <= beat_ends;
          x_tlast  <= last && left == 16'd1;
        end else if (left == 16'd0 && x_free) begin
          reply <= last ? psconv_link::SCORES : psconv_link::DONE;
          size  <= last ? OUT_BYTES + 4 : 0;
          state <= last ? WAIT : DRAIN;
        end
      end
      WAIT: if (complete) state <= DRAIN;
      DRAIN:
      if (left == 16'd0) begin
        if (!open) counting <= 1'b0;
        sent  <= 17'd0;
        state <= REPLY;
        failed <= reply == psconv_link::FAULT;
        if (reply == psconv_link::SCORES) worked <= 1'b1;
      end
      RESTART: begin
        if (resetting == 5'd1) state <= then;
        else if (resetting == 5'd0) begin
          resetting <= 5'd31;
          counting  <= 1'b0;
          x_tvalid  <= 1'b0;
          y_left    <= 16'd0;
          stored    <= {(OUT_BITS + 1) {1'b0}};
          if (then == DRAIN) open <= 1'b0;
        end
      end
      REPLY: state <= LOOK;  // the memory answers
      LOOK: begin
        out_valid <= 1'b1;
        out_data  <= answer;
        out_last  <= sent == {1'b0, size} + 17'd3;
        state     <= SEND;
      end
      SEND:
      if (out_ready) begin
        sent  <= sent + 17'd1;
        at    <= 2'd0;
        state <= out_last ? HEAD : REPLY;
      end
      default: state <= HEAD;
    endcase

    if (quiet == ENGINE_TIMEOUT) begin
      reply  <= psconv_link::FAULT;
      reason <= psconv_link::NO_ANSWER;
      size   <= 16'd1;
      then   <= DRAIN;
      state  <= RESTART;
      quiet  <= 32'd0;
    end

    if (rst) begin
      state     <= HEAD;
      at        <= 2'd0;
      open      <= 1'b0;
      counting  <= 1'b0;
      resetting <= 5'd31;
      engine_rst_n <= 1'b0;
      x_tvalid  <= 1'b0;
      y_left    <= 16'd0;
      stored    <= {(OUT_BITS + 1) {1'b0}};
      out_valid <= 1'b0;
      quiet     <= 32'd0;
      failed    <= 1'b0;
      worked    <= 1'b0;
    end
  end
endmodule
