#!/usr/bin/env bash
# Makes the media samples in this folder again. The project never needs this: the samples are committed.
#
# Needs ffmpeg (with libvpx and libopus), espeak-ng, sox and the DejaVu fonts, on Debian or Ubuntu:
#   apt-get install --no-install-recommends ffmpeg espeak-ng sox fonts-dejavu-core
#
# Usage: ./make.sh [FOLDER]     (default: the folder of this script)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
font=/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

for tool in ffmpeg espeak-ng sox; do
  command -v "$tool" >/dev/null || { echo "make.sh: $tool is missing; see the top of this script" >&2; exit 1; }
done
[ -f "$font" ] || { echo "make.sh: $font is missing; see the top of this script" >&2; exit 1; }

# video NAME RATE KBIT SECONDS SOURCE: VP8 in IVF, a key frame exactly once a second and nowhere else.
#
# Every frame is shown when it is decoded (no alternate reference frames, no look-ahead), as a live
# encoder's are, and one thread with bit-exact flags makes the same bytes on every run of one version.
video() {
  ffmpeg -hide_banner -loglevel error -y -f lavfi -i "$5" -t "$4" -an \
    -c:v libvpx -pix_fmt yuv420p -threads 1 -b:v "$3k" -maxrate "$3k" -bufsize "$3k" \
    -g "$2" -keyint_min "$2" -auto-alt-ref 0 -lag-in-frames 0 -deadline realtime -cpu-used 2 \
    -error-resilient 1 -qmin 4 -qmax 63 -flags +bitexact -fflags +bitexact -map_metadata -1 \
    -f ivf "$out/$1.ivf"
}

# speech NAME VOICE PITCH SPEED TEXT: 10 s of one voice, Opus in Ogg, 48 kHz mono, 20 ms frames, constant bit rate.
speech() {
  espeak-ng -v "$2" -p "$3" -s "$4" -w "$work/$1.wav" "$5"
  # -V1: without it sox warns that trim leaves a part of the padding unused, which is the point of it.
  sox -V1 -D "$work/$1.wav" -r 48000 -c 1 -b 16 "$work/$1-48k.wav" norm -3 pad 0.2 10 trim 0 10
  ffmpeg -hide_banner -loglevel error -y -i "$work/$1-48k.wav" \
    -c:a libopus -b:a 24k -vbr off -application voip -frame_duration 20 \
    -flags +bitexact -fflags +bitexact -map_metadata -1 -f ogg "$out/$1.ogg"
}

video camera-1 30 130 10 "testsrc2=size=320x180:rate=30"
video camera-2 30 120 10 "mandelbrot=size=320x180:rate=30:start_scale=1.5:end_scale=0.02:end_pts=300:maxiter=600,gblur=sigma=1.2"
video camera-3 30 100 10 "life=size=40x22:rate=5:seed=11:random_fill_ratio=0.3:mold=12:life_color=#f0c040:death_color=#204080:mold_color=#101018,framerate=fps=30:interp_start=0:interp_end=255:scene=100,scale=320:180:flags=bicubic"
video camera-4 30 130 10 "smptebars=size=480x320:rate=30,rotate=a=0.5*sin(2*PI*t/5):ow=320:oh=180:c=gray,hue=h=36*t"

# The screen share: a page of text that scrolls up.
awk 'BEGIN {
  split("the room opens when the first of us arrives|everyone sees the same code of thirty digits|frames cross from operator to operator|nobody in between can read a single one|a late guest has a picture within a second|who leaves is gone from every list", line, "|");
  for (i = 1; i <= 60; i++) printf "%3d   %s\n", i, line[(i * 5) % 6 + 1];
}' >"$work/page.txt"
video screen 8 60 10 "color=color=white:size=640x360:rate=8,drawtext=fontfile=$font:textfile=$work/page.txt:fontsize=20:line_spacing=12:fontcolor=black:x=24:y=20-32*t"

speech voice-1 en-us 45 150 "Good morning, everyone. Can you hear me? I am speaking to you through three operators, and none of them can listen to what I say."
speech voice-2 en-gb+f3 60 155 "Yes, loud and clear. Each relay passes my words on as soon as they arrive, and keeps no copy. Let us read the thirty digits to each other."
speech voice-3 en-gb-scotland 30 145 "Five people share this call today. One of us will come late, one will leave, and one will fall silent without saying goodbye."
speech voice-4 en-us+f4 75 160 "The quick brown fox jumps over the lazy dog. She sells sea shells by the sea shore. How much wood would a wood chuck chuck?"

du -cb "$out"/*.ivf "$out"/*.ogg
