"""The Scheduler's methods about jobs; see `rpcs`."""

from __future__ import annotations

from quorate.client.transport.rpcs import BATCH_DEADLINE, POLL, Rpc
from quorate.v1 import scheduler_pb2 as pb

CREATE_JOB = Rpc("CreateJob", pb.CreateJobRequest, pb.CreateJobResponse, BATCH_DEADLINE)
APPEND_JOB_ITEMS = Rpc(
    "AppendJobItems", pb.AppendJobItemsRequest, pb.AppendJobItemsResponse, BATCH_DEADLINE
)
CLOSE_JOB = Rpc("CloseJob", pb.CloseJobRequest, pb.CloseJobResponse)
GET_JOB = Rpc("GetJob", pb.GetJobRequest, pb.GetJobResponse)
GET_JOB_GRAPH = Rpc("GetJobGraph", pb.GetJobGraphRequest, pb.GetJobGraphResponse)
LIST_JOBS = Rpc("ListJobs", pb.ListJobsRequest, pb.ListJobsResponse)
WAIT_JOB = Rpc("WaitJob", pb.WaitJobRequest, pb.WaitJobResponse, POLL + 2.0)
CANCEL_JOB = Rpc("CancelJob", pb.CancelJobRequest, pb.CancelJobResponse)
PAUSE_JOB = Rpc("PauseJob", pb.PauseJobRequest, pb.PauseJobResponse)
RESUME_JOB = Rpc("ResumeJob", pb.ResumeJobRequest, pb.ResumeJobResponse)
RETRY_JOB = Rpc("RetryJob", pb.RetryJobRequest, pb.RetryJobResponse, BATCH_DEADLINE)
UPDATE_JOB = Rpc("UpdateJob", pb.UpdateJobRequest, pb.UpdateJobResponse)
DELETE_JOB = Rpc("DeleteJob", pb.DeleteJobRequest, pb.DeleteJobResponse, BATCH_DEADLINE)
LIST_JOB_ERRORS = Rpc("ListJobErrors", pb.ListJobErrorsRequest, pb.ListJobErrorsResponse)
LIST_SUBTASKS = Rpc("ListSubtasks", pb.ListSubtasksRequest, pb.ListSubtasksResponse)
READ_JOB_RESULTS = Rpc("ReadJobResults", pb.ReadJobResultsRequest, pb.ReadJobResultsResponse)
