import java.io.File;
import java.util.TreeMap;
import org.HdrHistogram.EncodableHistogram;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramLogReader;
import org.HdrHistogram.HistogramLogWriter;

/** HdrHistogram's own Java implementation on a log: "read FILE" prints each tag's percentiles, "write FILE" makes a log. */
public class HdrTools {
  public static void main(String[] words) throws Exception {
    if (words[0].equals("read")) read(new File(words[1]));
    else write(new File(words[1]));
  }

  static void read(File file) throws Exception {
    HistogramLogReader reader = new HistogramLogReader(file);
    TreeMap<String, Histogram> all = new TreeMap<>();
    EncodableHistogram next;
    while ((next = reader.nextIntervalHistogram()) != null) {
      Histogram interval = (Histogram) next;
      all.computeIfAbsent(String.valueOf(next.getTag()), tag -> new Histogram(interval.getLowestDiscernibleValue(),
          interval.getHighestTrackableValue(), interval.getNumberOfSignificantValueDigits())).add(interval);
    }
    for (String tag : all.keySet()) {
      Histogram found = all.get(tag);
      System.out.print(tag + " " + found.getTotalCount());
      for (double p : new double[] {50, 90, 95, 99, 99.9, 99.99, 100}) System.out.print(" " + found.getValueAtPercentile(p));
      System.out.println();
    }
  }

  static void write(File file) throws Exception {
    HistogramLogWriter writer = new HistogramLogWriter(file);
    writer.outputLogFormatVersion();
    writer.outputStartTime(1700000000000L);
    writer.outputLegend();
    for (int second = 0; second < 3; second++) {
      for (String tag : new String[] {"users", null}) {
        Histogram interval = new Histogram(3600000000L, tag == null ? 2 : 3);
        if (tag != null) interval.setTag(tag);
        for (int i = 1; i <= 1000; i++) interval.recordValue((long) i * (tag == null ? 37 : 11) * (second + 1));
        interval.setStartTimeStamp(1700000000000L + second * 1000L);
        interval.setEndTimeStamp(1700000001000L + second * 1000L);
        writer.outputIntervalHistogram(interval);
      }
    }
    writer.close();
  }
}
